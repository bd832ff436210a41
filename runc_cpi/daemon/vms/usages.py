"""Has the host measure what VMs use, for whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.threads import deferToThread

from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.vms.interfaces import IMeter
from runc_cpi.daemon.vms.usage import Usage
from runc_cpi.daemon.vms.watcher import Watcher


class Usages:
    """
    What VMs use.

    Nothing is measured but when it is asked for, and nothing is kept.

    @param watcher: knows which VMs run.
    @param cgroup_of: returns the path of a VM's cgroup.
    """

    def __init__(
        self,
        depot: Depot,
        watcher: Watcher,
        cgroup_of: Callable[[str], str],
        meter: IMeter,
    ) -> None:
        self._depot, self._watcher = depot, watcher
        self._cgroup_of, self._meter = cgroup_of, meter

    async def all(self) -> Mapping[str, Usage]:
        """Return what each VM uses, by its cid; one that is down is not in it."""
        return await deferToThread(self._measure, self._watcher.pids)

    def _measure(self, pids: Mapping[str, int]) -> Mapping[str, Usage]:
        """Do so in a thread, which takes some tenths of a millisecond for each."""
        states = [
            ContainerState(
                bundle=Bundle(self._depot.vms / vm_cid),
                pid=pid,
                cgroup=self._cgroup_of(vm_cid),
            )
            for vm_cid, pid in pids.items()
        ]
        return self._meter.measure(states)
