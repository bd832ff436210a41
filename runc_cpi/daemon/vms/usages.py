"""Has the host measure what VMs use, for whoever asks."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.threads import deferToThread

from runc_cpi.daemon.vms.containers import Containers
from runc_cpi.daemon.vms.interfaces import IMeter
from runc_cpi.daemon.vms.registry import Registry
from runc_cpi.daemon.vms.usage import Usage


class Usages:
    """
    What VMs use.

    Nothing is measured but when it is asked for, and nothing is kept.
    """

    def __init__(self, registry: Registry, containers: Containers, meter: IMeter) -> None:
        self._registry, self._containers, self._meter = registry, containers, meter

    async def all(self) -> Mapping[str, Usage]:
        """Return what each VM uses, by its cid; one that is down is not in it."""
        vm_cids = [vm.vm_cid for vm in self._registry.all()]
        return await deferToThread(self._measure, vm_cids)

    def _measure(self, vm_cids: list[str]) -> Mapping[str, Usage]:
        """Do so in a thread, which may take a millisecond for each."""
        found = map(self._containers.find, vm_cids)
        return self._meter.measure([state for state in found if state.pid is not None])
