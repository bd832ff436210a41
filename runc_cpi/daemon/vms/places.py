"""To which deployment and instance VMs and disks belong, by what BOSH has noted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from runc_cpi.daemon.base.places import NOWHERE, Place
from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.vms.registry import Registry


class Places:
    """Finds where VMs and disks belong: a disk belongs where its VM does, if it has one."""

    def __init__(self, registry: Registry, disks: Disks) -> None:
        self._registry, self._disks = registry, disks

    def of(self, cids: Collection[str]) -> Place:
        """Return where the first of some ids belongs of which that is known."""
        places = (self._of_one(cid) for cid in cids)
        return next((place for place in places if place != NOWHERE), NOWHERE)

    def _of_one(self, cid: str) -> Place:
        disk = self._disks.find(cid)
        vm = self._registry.find(disk.attached_to or "" if disk else cid)
        if vm is not None and vm.metadata:
            return Place(_text(vm.metadata, "deployment"), vm.name)
        if disk is not None and disk.metadata:
            return Place(_text(disk.metadata, "deployment"), _instance(disk.metadata))
        return NOWHERE


def place_of_new(env: Any) -> Place:
    """
    Return where a new VM will belong.

    Its metadata comes when it is made.  The Director's C{env.bosh.groups} begins with the
    names of the Director, the deployment and the instance group (its C{vm_creator.rb}).
    """
    bosh = env.get("bosh") if isinstance(env, Mapping) else None
    groups = bosh.get("groups") if isinstance(bosh, Mapping) else None
    if not isinstance(groups, list) or len(groups) < 3:
        return NOWHERE
    _, deployment, group, *_ = groups
    if not isinstance(deployment, str) or not isinstance(group, str):
        return NOWHERE
    return Place(deployment, group)


def _text(metadata: Mapping[str, Any], key: str) -> str:
    value = metadata.get(key)
    return value if isinstance(value, str) else ""


def _instance(metadata: Mapping[str, Any]) -> str:
    name = _text(metadata, "instance_name")
    if not name and "job" in metadata and "instance_index" in metadata:
        return f"{metadata['job']}/{metadata['instance_index']}"
    return name
