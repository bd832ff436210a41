"""VMs that are down: they are booted again, or it is noted that they ended."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred

from runc_cpi.daemon.base.concurrency import side_by_side
from runc_cpi.daemon.base.locks import Locks
from runc_cpi.daemon.base.repairs import BOOTED_AGAIN, Repairs
from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.base.timestamps import now
from runc_cpi.daemon.vms.containers import Containers
from runc_cpi.daemon.vms.end import End
from runc_cpi.daemon.vms.registry import Registry
from runc_cpi.daemon.vms.vms import VMs


class DownVMs:
    """
    Boots VMs that are down and should run.

    Each boot is a task of its own: a stop of the daemon waits for it, or names the VM.

    @param restart: whether to boot a VM, too, that ended by itself.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        containers: Containers,
        vms: VMs,
        locks: Locks,
        tasks: TaskGroup,
        restart: bool,
    ) -> None:
        self._registry, self._containers, self._vms = registry, containers, vms
        self._locks, self._tasks, self._restart = locks, tasks, restart

    async def bring_all_back(self, repairs: Repairs) -> None:
        """Boot all VMs that a reboot of the host took down, or that failed meanwhile."""
        vm_cids = [vm.vm_cid for vm in self._registry.all()]
        await side_by_side(*(self.bring_back(vm_cid, repairs) for vm_cid in vm_cids))

    def bring_back(self, vm_cid: str, repairs: Repairs) -> Deferred[None]:
        """
        Boot a VM if it is down; of one that may stay down it is noted that it ended.

        @return: fires when that is done, and never fails.
        """
        return self._tasks.start(
            f"bringing back {vm_cid}", self._bring_back(vm_cid, repairs)
        )

    async def _bring_back(self, vm_cid: str, repairs: Repairs) -> None:
        async with self._locks.vm(vm_cid):
            failure = f"cannot bring back {vm_cid}"
            with repairs.attempt(failure, happened=BOOTED_AGAIN):
                if not self._is_down(vm_cid):
                    return
                vm = self._registry.get(vm_cid)
                if self._restart or self._containers.was_taken_down(vm_cid):
                    await self._vms.boot_again(vm)
                    repairs.did(f"brought back {vm_cid}", happened=BOOTED_AGAIN)
                else:
                    # The end that was noticed tells more than that it is there now.
                    end = vm.end or End(at=now())
                    await self._registry.save(replace(vm, stopped=True, end=end))
                    repairs.did(f"noted that {vm_cid} has ended")

    async def note_end(self, vm_cid: str, end: End, *, stays: bool) -> None:
        """
        Write into a VM's record how it ended, unless it runs again.

        @param stays: whether it is to stay down.
        """
        async with self._locks.vm(vm_cid):
            if self._is_down(vm_cid):
                vm = self._registry.get(vm_cid)
                await self._registry.save(replace(vm, stopped=stays, end=end))

    def _is_down(self, vm_cid: str) -> bool:
        """Say whether a VM does not run, and its record does not know that yet."""
        vm = self._registry.find(vm_cid)
        if vm is None:
            return False
        is_up = vm.stopped or self._vms.is_running(vm_cid)
        return not is_up or self._containers.was_interrupted(vm_cid)
