"""What creations and deletions that were not finished left on the host."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import deferLater

from runc_cpi.daemon.base.locks import Locks
from runc_cpi.daemon.base.repairs import PRUNED, Repairs
from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.networks.forwarding import Forwarding
from runc_cpi.daemon.networks.networks import Networks
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.daemon.vms.containers import Containers
from runc_cpi.daemon.vms.registry import Registry
from runc_cpi.daemon.vms.vms import VMs


class Leftovers:
    """
    Removes what is left of VMs that are none.

    @param reactor: provides C{IReactorTime}.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        registry: Registry,
        containers: Containers,
        vms: VMs,
        networks: Networks,
        scratch: Scratch,
        forwarding: Forwarding,
        locks: Locks,
        tasks: TaskGroup,
    ) -> None:
        self._reactor, self._registry, self._containers = reactor, registry, containers
        self._vms, self._networks, self._scratch = vms, networks, scratch
        self._forwarding, self._locks, self._tasks = forwarding, locks, tasks

    def keep_clearing(self, interval: float) -> None:
        """
        Try again and again to remove what is left, until the daemon stops.

        @param interval: seconds between two attempts.
        """
        self._tasks.start("clearing", self._clear_forever(interval), awaited=False)

    async def _clear_forever(self, interval: float) -> None:
        while True:
            await deferLater(self._reactor, interval)
            # A task of its own: if it fails, the next one comes all the same.
            await self._tasks.start("clearing", self._clear(Repairs()), awaited=False)

    async def _clear(self, repairs: Repairs) -> None:
        for vm_cid in self._registry.half_deleted():
            await self._delete_again(vm_cid, repairs)
        await self.remove_incomplete(repairs)
        await self._forwarding.repair(repairs)
        # Not waited for: a removal that hangs must not keep the rest from being done again.
        self._tasks.start("emptying scratch", self._scratch.sweep(repairs), awaited=False)

    async def _delete_again(self, vm_cid: str, repairs: Repairs) -> None:
        if self._locks.vm.is_held(vm_cid):
            return  # it is being deleted
        failure = f"cannot delete {vm_cid}, which was half deleted"
        with repairs.attempt(failure, happened=PRUNED):
            await self._vms.delete(vm_cid)
            repairs.did(f"deleted {vm_cid}, which was half deleted", happened=PRUNED)

    async def remove_incomplete(self, repairs: Repairs) -> None:
        """Remove VMs whose creation or deletion was not finished."""
        for name in sorted(await self._incomplete()):
            await self._remove(name, repairs)

    async def _incomplete(self) -> set[str]:
        """
        Name the incomplete VMs.

        There is a directory without a record; or none, and yet a container, a cgroup or
        an interface.
        """
        traces = await self._containers.traces()
        strays = {name for name in traces if not self._registry.path(name).exists()}
        return {*self._registry.incomplete(), *strays}

    async def _remove(self, name: str, repairs: Repairs) -> None:
        async with self._locks.vm(name):
            if name not in await self._incomplete():
                return  # a call was at work on it, and is done
            failure = f"cannot remove {name}, which is no whole VM"
            with repairs.attempt(failure, happened=PRUNED):
                self._registry.path(name).mkdir(mode=0o700, exist_ok=True)
                await self._vms.clear_away(name)
                await self._networks.settle(afresh=True)
                repairs.did(f"removed {name}, which was no whole VM", happened=PRUNED)
