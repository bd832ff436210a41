"""What there is by the daemon's own word, as plain values; and what a call makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from runc_cpi import wire
from runc_cpi.cpi.client import Client
from tests.harness.daemon import Daemon


@dataclass(frozen=True)
class VMFacts:
    """A VM."""

    stemcell: str
    running: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DiskFacts:
    """A disk, and the VM that has it."""

    size: int
    vm: str | None = None
    in_settings: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """
    All that was made by calls, by cids.

    @ivar snapshots: the disks they were taken of.
    """

    stemcells: frozenset[str] = frozenset()
    vms: Mapping[str, VMFacts] = field(default_factory=dict)
    disks: Mapping[str, DiskFacts] = field(default_factory=dict)
    snapshots: Mapping[str, str] = field(default_factory=dict)

    @property
    def cids(self) -> set[str]:
        """All of them."""
        return {*self.stemcells, *self.vms, *self.disks, *self.snapshots}

    def disks_of(self, vm_cid: str) -> dict[str, DiskFacts]:
        """Return the disks of a VM."""
        return {cid: disk for cid, disk in self.disks.items() if disk.vm == vm_cid}


def observe(daemon: Daemon) -> World:
    """Ask a daemon for all that it has; snapshots are not told of, but looked for."""
    with daemon.connection() as client:
        vms = _ask(client, "ListVMs", "vms")
        disks = _ask(client, "ListDisks", "disks")
        stemcells = _ask(client, "ListStemcells", "stemcells")
    records = (daemon.work_dir / "snapshots").glob("*/snapshot.json")
    return World(
        stemcells=frozenset(stemcell["stemcell_cid"] for stemcell in stemcells),
        vms={
            vm["vm_cid"]: VMFacts(vm["stemcell_cid"], vm["running"], vm["metadata"])
            for vm in vms
        },
        disks={
            disk["disk_cid"]: DiskFacts(
                disk["size"],
                disk["attached_to"],
                disk["in_settings"],
                disk["cloud_properties"],
                disk["metadata"],
            )
            for disk in disks
        },
        snapshots={
            path.parent.name: json.loads(path.read_text())["disk_cid"] for path in records
        },
    )


def _ask(client: Client, command: str, name: str) -> Any:
    return json.loads(wire.join(name.encode(), client.call(command)) or b"[]")


def after(
    world: World, method: str, arguments: list[Any], cid: str = "", *, told: bool = True
) -> World:
    """
    Return what a call makes of the world.

    @param cid: of what the call makes, if that is anything.
    @param told: whether the Director tells agents of their disks; if not, the daemon does.
    """
    change: Callable[..., World] = _CHANGES[method]
    more = {"told": told} if method == "attach_disk" else {}
    return change(world, *([cid] if method in CREATING else []), *arguments, **more)


def _create_stemcell(world: World, cid: str, *_: Any) -> World:
    return replace(world, stemcells=world.stemcells | {cid})


def _delete_stemcell(world: World, cid: str) -> World:
    return replace(world, stemcells=world.stemcells - {cid})


def _create_vm(world: World, cid: str, agent_id: str, stemcell: str, *_: Any) -> World:
    return replace(world, vms={**world.vms, cid: VMFacts(stemcell)})


def _delete_vm(world: World, cid: str) -> World:
    free = {disk: replace(facts, vm=None) for disk, facts in world.disks_of(cid).items()}
    free = {disk: replace(facts, in_settings=False) for disk, facts in free.items()}
    vms = {name: vm for name, vm in world.vms.items() if name != cid}
    return replace(world, vms=vms, disks={**world.disks, **free})


def _reboot_vm(world: World, cid: str) -> World:
    return _with_vm(world, cid, running=True)


def _set_vm_metadata(world: World, cid: str, metadata: Mapping[str, Any]) -> World:
    return _with_vm(world, cid, metadata=metadata)


def _create_disk(
    world: World, cid: str, size: int, properties: Mapping[str, Any], *_: Any
) -> World:
    disk = DiskFacts(size, properties=properties)
    return replace(world, disks={**world.disks, cid: disk})


def _delete_disk(world: World, cid: str) -> World:
    kept = {name: disk for name, disk in world.disks.items() if name != cid}
    return replace(world, disks=kept)


def _attach_disk(world: World, vm_cid: str, cid: str, *, told: bool) -> World:
    return _with_disk(world, cid, vm=vm_cid, in_settings=not told)


def _detach_disk(world: World, vm_cid: str, cid: str) -> World:
    return _with_disk(world, cid, vm=None, in_settings=False)


def _resize_disk(world: World, cid: str, size: int) -> World:
    return _with_disk(world, cid, size=size)


def _update_disk(world: World, cid: str, size: int, properties: Mapping[str, Any]) -> World:
    return _with_disk(world, cid, size=size, properties=properties)


def _set_disk_metadata(world: World, cid: str, metadata: Mapping[str, Any]) -> World:
    return _with_disk(world, cid, metadata=metadata)


def _snapshot_disk(world: World, cid: str, disk_cid: str, *_: Any) -> World:
    return replace(world, snapshots={**world.snapshots, cid: disk_cid})


def _delete_snapshot(world: World, cid: str) -> World:
    kept = {name: disk for name, disk in world.snapshots.items() if name != cid}
    return replace(world, snapshots=kept)


def _with_vm(world: World, cid: str, **facts: Any) -> World:
    return replace(world, vms={**world.vms, cid: replace(world.vms[cid], **facts)})


def _with_disk(world: World, cid: str, **facts: Any) -> World:
    return replace(world, disks={**world.disks, cid: replace(world.disks[cid], **facts)})


_CHANGES: dict[str, Callable[..., World]] = {
    "create_stemcell": _create_stemcell,
    "delete_stemcell": _delete_stemcell,
    "create_vm": _create_vm,
    "delete_vm": _delete_vm,
    "reboot_vm": _reboot_vm,
    "set_vm_metadata": _set_vm_metadata,
    "create_disk": _create_disk,
    "delete_disk": _delete_disk,
    "attach_disk": _attach_disk,
    "detach_disk": _detach_disk,
    "resize_disk": _resize_disk,
    "update_disk": _update_disk,
    "set_disk_metadata": _set_disk_metadata,
    "snapshot_disk": _snapshot_disk,
    "delete_snapshot": _delete_snapshot,
}
CREATING = ("create_stemcell", "create_vm", "create_disk", "snapshot_disk")
