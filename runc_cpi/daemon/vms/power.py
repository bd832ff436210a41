"""Stops VMs for the operator, and starts them again."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.base.locks import Locks
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.vms import progress
from runc_cpi.daemon.vms.containers import Containers
from runc_cpi.daemon.vms.registry import Registry
from runc_cpi.daemon.vms.vms import VMs


class Power:
    """
    The switch of each VM.

    A VM that was stopped stays down, also when the daemon or the host starts again.
    """

    log = Logger()

    def __init__(
        self,
        *,
        registry: Registry,
        stemcells: Stemcells,
        containers: Containers,
        vms: VMs,
        locks: Locks,
    ) -> None:
        self._registry, self._stemcells, self._containers = registry, stemcells, containers
        self._vms, self._locks = vms, locks

    async def stop(self, vm_cid: str) -> None:
        """
        Stop a VM, asking it first; one that is down is no error.

        If the daemon dies before the end, the next one boots the VM again.

        @raise VMNotFound: if there is no such VM.
        @raise CloudError: if it does not stop.
        """
        async with self._locks.vm(vm_cid):
            vm = self._registry.get(vm_cid)
            await self._containers.halt(vm, self._stemcells.get(vm.stemcell_cid))
            await self._registry.save(replace(vm, stopped=True, end=None))
            # In this order: a reboot that was cut off is not lost before the stop is kept.
            bundle = self._containers.find(vm_cid).bundle
            await deferToThread(progress.give_up, bundle)
        self.log.info("stopped {vm_cid}", vm_cid=vm_cid)

    async def start(self, vm_cid: str) -> None:
        """
        Boot a VM on the file system that it had; one that runs is no error.

        @raise VMNotFound: if there is no such VM.
        @raise CloudError: if it does not start.
        """
        async with self._locks.vm(vm_cid):
            vm = self._registry.get(vm_cid)
            if self._vms.is_running(vm_cid):
                return
            await self._vms.boot_again(vm)
        self.log.info("started {vm_cid}", vm_cid=vm_cid)
