"""A model: how a call changes the world, or which error it ends with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Interface
from typing import Any, TypeVar

from runc_cpi.daemon.networks.model import described
from runc_cpi.errors import (
    AddressUnavailable,
    CPIError,
    DiskAttached,
    DiskNotAttached,
    DiskNotFound,
    NetworkNotFound,
    NotSupported,
    StemcellInUse,
    StemcellNotFound,
    VMNotFound,
)
from tests.reliability.world import DiskFacts, VMFacts, World

T = TypeVar("T")


def after(
    world: World, method: str, arguments: list[Any], cid: str = "", *, told: bool = True
) -> World:
    """
    Return the world after a call.

    @param cid: of what the call makes, if that is anything. @param told: whether the
    Director tells agents of their disks; if not, the daemon does.
    """
    change: Callable[..., World] = _CHANGES[method]
    more = {"told": told} if method == "attach_disk" else {}
    return change(world, *([cid] if method in CREATING else []), *arguments, **more)


def _create_stemcell(world: World, cid: str, *_: Any) -> World:
    return replace(world, stemcells={**world.stemcells, cid: None})


def _delete_stemcell(world: World, cid: str) -> World:
    return replace(world, stemcells=_without(world.stemcells, cid))


def _create_vm(world: World, cid: str, agent_id: str, stemcell: str, *_: Any) -> World:
    return replace(world, vms={**world.vms, cid: VMFacts(stemcell)})


def _delete_vm(world: World, cid: str) -> World:
    free = {disk: replace(facts, vm=None) for disk, facts in world.disks_of(cid).items()}
    free = {disk: replace(facts, in_settings=False) for disk, facts in free.items()}
    return replace(world, vms=_without(world.vms, cid), disks={**world.disks, **free})


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
    return replace(world, disks=_without(world.disks, cid))


def _attach_disk(world: World, vm_cid: str, cid: str, *, told: bool) -> World:
    # Once the settings name a disk, they do so while it is attached.
    named = not told or world.disks[cid].in_settings
    return _with_disk(world, cid, vm=vm_cid, in_settings=named)


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
    return replace(world, snapshots=_without(world.snapshots, cid))


def _create_network(world: World, cid: str, definition: Mapping[str, Any]) -> World:
    return replace(world, networks={**world.networks, cid: _bridge(definition)})


def _bridge(definition: Mapping[str, Any]) -> str:
    return described(IPv4Interface(definition["range"])).bridge


def _delete_network(world: World, cid: str) -> World:
    return replace(world, networks=_without(world.networks, cid))


def _without(all_of_them: Mapping[str, T], cid: str) -> dict[str, T]:
    return {name: one for name, one in all_of_them.items() if name != cid}


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
    "create_network": _create_network,
    "delete_network": _delete_network,
}
CREATING = (
    *("create_stemcell", "create_vm", "create_disk", "snapshot_disk"),
    "create_network",
)


def refusal(world: World, method: str, arguments: list[Any]) -> type[CPIError] | None:
    """Return the error that a call must end with, if any."""
    refused: Callable[..., type[CPIError] | None] = _REFUSALS.get(method, _never)
    return refused(world, *arguments)


def _never(world: World, *_: Any) -> None:
    return None


def _of_stemcell(world: World, stemcell: str) -> type[CPIError] | None:
    used = any(vm.stemcell == stemcell for vm in world.vms.values())
    return StemcellInUse if used else None


def _of_creation(
    world: World, agent_id: str, stemcell: str, *_: Any
) -> type[CPIError] | None:
    return None if stemcell in world.stemcells else StemcellNotFound


def _of_vm(world: World, cid: str, *_: Any) -> type[CPIError] | None:
    return None if cid in world.vms else VMNotFound


def _of_disk(world: World, cid: str, *_: Any) -> type[CPIError] | None:
    return None if cid in world.disks else DiskNotFound


def _of_deletion(world: World, cid: str) -> type[CPIError] | None:
    attached = cid in world.disks and world.disks[cid].vm is not None
    return DiskAttached if attached else None


def _of_attachment(world: World, vm_cid: str, cid: str) -> type[CPIError] | None:
    missing = _of_vm(world, vm_cid) or _of_disk(world, cid)
    if missing is None and world.disks[cid].vm not in (None, vm_cid):
        return DiskAttached
    return missing


def _of_detachment(world: World, vm_cid: str, cid: str) -> type[CPIError] | None:
    missing = _of_vm(world, vm_cid) or _of_disk(world, cid)
    if missing is None and world.disks[cid].vm != vm_cid:
        return DiskNotAttached
    return missing


def _of_growth(world: World, cid: str, size: int, *_: Any) -> type[CPIError] | None:
    missing = _of_disk(world, cid)
    if missing is None and size < world.disks[cid].size:
        return NotSupported
    return missing


def _of_new_network(world: World, definition: Mapping[str, Any]) -> type[CPIError] | None:
    is_there = _bridge(definition) in world.networks.values()
    return AddressUnavailable if is_there else None


def _of_network(world: World, cid: str) -> type[CPIError] | None:
    return None if cid in world.networks else NetworkNotFound


_REFUSALS: dict[str, Callable[..., type[CPIError] | None]] = {
    "delete_stemcell": _of_stemcell,
    "create_vm": _of_creation,
    "reboot_vm": _of_vm,
    "set_vm_metadata": _of_vm,
    "get_disks": _of_vm,
    "delete_disk": _of_deletion,
    "attach_disk": _of_attachment,
    "detach_disk": _of_detachment,
    "resize_disk": _of_growth,
    "update_disk": _of_growth,
    "set_disk_metadata": _of_disk,
    "snapshot_disk": _of_disk,
    "create_network": _of_new_network,
    "delete_network": _of_network,
}
