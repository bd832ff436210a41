"""The calls that are cut off at each step, and what each call needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.harness.agent import Agent
from tests.reliability.site import DISK_SIZE, Site


@dataclass(frozen=True)
class Scenario:
    """
    A call.

    @ivar prepare: makes what the call needs, and returns its arguments. @ivar version: of
    the contract; with the first, agents' settings name their disks. @ivar everywhere:
    whether sites differ in its steps, so that each might go through all. @ivar done: errors
    that the call may end with if it was carried out before. @ivar replaces: whether the
    same call again replaces what one made that was carried out and not answered. @ivar
    sites: those that are of interest: the first is passed files, the second gets bytes.
    """

    method: str
    prepare: Callable[[Site], list[Any]]
    version: int = 2
    everywhere: bool = False
    done: tuple[str, ...] = ()
    replaces: bool = False
    sites: tuple[int, ...] = (0, 1)


def _image(site: Site) -> list[Any]:
    return [str(site.new_image()), {}]


def _known_image(site: Site) -> list[Any]:
    return [str(site.image), {}]


def _light(site: Site) -> list[Any]:
    return [str(site.image), {"image_reference": f"oci:{site.layout}"}]


def _stemcell(site: Site) -> list[Any]:
    return [site.daemon.create_stemcell(site.new_image())]


def _one_of_two(site: Site) -> list[Any]:
    return [site.daemon.create_stemcell(site.image)]


def _light_stemcell(site: Site) -> list[Any]:
    return [site.cpi.ok("create_stemcell", *_light(site))]


def _vm_with_a_disk(site: Site) -> list[Any]:
    vm = site.new_vm_in_two_networks()
    site.give(vm, site.new_disk())
    return [vm.cid]


def _target_with_the_disk(site: Site) -> list[Any]:
    _given(site)
    return [site.target.cid]


def _given(site: Site) -> None:
    if not site.observe().disks[site.disk].vm:
        site.give(site.target, site.disk)


def _free(site: Site) -> None:
    if site.observe().disks[site.disk].vm:
        site.cpi.ok("detach_disk", site.target.cid, site.disk)


def _to_attach(site: Site) -> list[Any]:
    _free(site)
    return [site.target.cid, site.disk]


def _to_detach(site: Site) -> list[Any]:
    _given(site)
    return [site.target.cid, site.disk]


def _to_grow(site: Site) -> list[Any]:
    _free(site)
    return [site.disk, site.observe().disks[site.disk].size + 1]


def _to_grow_attached(site: Site) -> list[Any]:
    _given(site)
    # A mounted disk grows only if the host can do that.
    Agent(site.target).unmount_disk(site.disk)
    return [site.disk, site.observe().disks[site.disk].size + 1]


def _to_update(site: Site) -> list[Any]:
    facts = site.observe().disks[site.disk]
    return [*_to_grow(site), {"generation": facts.size}]


def _to_copy_mounted(site: Site) -> list[Any]:
    _given(site)
    return [site.disk, {"any": "thing"}]


def _to_copy(site: Site) -> list[Any]:
    _free(site)
    return [site.disk, {"any": "thing"}]


def _snapshot(site: Site) -> list[Any]:
    return [site.cpi.ok("snapshot_disk", site.disk, {})]


def _network(site: Site) -> list[Any]:
    return [site.cpi.ok("create_network", site.network())[0]]


def _vm_metadata(site: Site) -> list[Any]:
    return [site.target.cid, _other(site.observe().vms[site.target.cid].metadata)]


def _disk_metadata(site: Site) -> list[Any]:
    return [site.disk, _other(site.observe().disks[site.disk].metadata)]


def _other(metadata: Any) -> dict[str, int]:
    return {"generation": metadata.get("generation", 0) + 1}


SCENARIOS = {
    "create_stemcell": Scenario("create_stemcell", _image, everywhere=True),
    "create_stemcell, known": Scenario("create_stemcell", _known_image, sites=(0,)),
    "create_stemcell, named": Scenario("create_stemcell", _known_image, sites=(1,)),
    "create_stemcell, light": Scenario("create_stemcell", _light),
    "delete_stemcell": Scenario("delete_stemcell", _stemcell),
    "delete_stemcell, one of two": Scenario("delete_stemcell", _one_of_two),
    "delete_stemcell, light": Scenario("delete_stemcell", _light_stemcell),
    # The VM that nobody was told of has the address and the port that the call asks for, so
    # it makes way.
    "create_vm": Scenario("create_vm", Site.vm_arguments, replaces=True),
    "delete_vm": Scenario("delete_vm", _vm_with_a_disk),
    "reboot_vm": Scenario("reboot_vm", _target_with_the_disk),
    "set_vm_metadata": Scenario("set_vm_metadata", _vm_metadata),
    "create_disk": Scenario("create_disk", lambda _: [DISK_SIZE, {}, None]),
    "delete_disk": Scenario("delete_disk", lambda site: [site.new_disk()]),
    "attach_disk": Scenario("attach_disk", _to_attach, version=1),
    "detach_disk": Scenario(
        "detach_disk", _to_detach, done=("Bosh::Clouds::DiskNotAttached",)
    ),
    "resize_disk": Scenario("resize_disk", _to_grow),
    "resize_disk, attached": Scenario("resize_disk", _to_grow_attached),
    "update_disk": Scenario("update_disk", _to_update),
    "set_disk_metadata": Scenario("set_disk_metadata", _disk_metadata),
    "snapshot_disk": Scenario("snapshot_disk", _to_copy),
    "snapshot_disk, mounted": Scenario("snapshot_disk", _to_copy_mounted),
    "delete_snapshot": Scenario("delete_snapshot", _snapshot),
    # The network that nobody was told of is as the call asks for, so it makes way.
    "create_network": Scenario(
        "create_network", lambda site: [site.network()], replaces=True
    ),
    "delete_network": Scenario(
        "delete_network", _network, done=("Bosh::Clouds::NetworkNotFound",)
    ),
}
