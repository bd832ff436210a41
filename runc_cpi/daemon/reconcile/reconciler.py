"""Keeps what there is as the records say: after a crash, a reboot, or a VM's own end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from runc_cpi.daemon.base.concurrency import side_by_side
from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.disks.snapshots import Snapshots
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.daemon.vms.containers import Containers
from runc_cpi.daemon.vms.registry import Registry
from runc_cpi.daemon.vms.vm import VM
from runc_cpi.daemon.vms.vms import VMs
from runc_cpi.daemon.vms.watcher import Watcher, describe, is_failure

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
# A VM that ran for so long did not fail because of how it was booted.
STEADY_SECONDS = 600.0


class Reconciler:
    """
    Does what nobody asked for in a call.

    @param reactor: for the time.
    @param restart: whether to boot a VM again that ended by itself and did not mean to.
    """

    log = Logger()

    def __init__(
        self,
        *,
        reactor: Any,
        registry: Registry,
        stemcells: Stemcells,
        containers: Containers,
        disks: Disks,
        snapshots: Snapshots,
        vms: VMs,
        scratch: Scratch,
        watcher: Watcher,
        restart: bool,
    ) -> None:
        self._reactor, self._registry, self._stemcells = reactor, registry, stemcells
        self._containers, self._disks, self._vms = containers, disks, vms
        self._scratch, self._watcher, self._restart = scratch, watcher, restart
        self._snapshots = snapshots
        self._failures: dict[str, tuple[int, float]] = {}
        watcher.ended = self._ended
        self._clearing = LoopingCall(self._clear_again)
        self._clearing.clock = reactor

    async def load(self) -> Repairs:
        """
        Read all records, and make what there is agree with them.

        @return: what was done, for L{bring_back} to go on with.
        """
        repairs = Repairs()
        self._stemcells.load(repairs)
        self._disks.load(repairs)
        self._snapshots.load(repairs)
        await self._registry.load(repairs)
        await self._reconcile(repairs)
        return repairs

    async def repair(self) -> Repairs:
        """Make what there is agree with the records, while calls go on."""
        repairs = Repairs()
        await self._reconcile(repairs)
        await self.bring_back(repairs)
        return repairs

    async def bring_back(self, repairs: Repairs) -> None:
        """
        Boot the VMs that a reboot of the host took down, or that failed meanwhile, and
        clear up what takes long.
        """
        known = [vm.vm_cid for vm in self._registry.all()]
        await side_by_side(
            self._scratch.sweep(repairs),
            *(self._revive(vm_cid, repairs) for vm_cid in known),
        )
        repairs.summarize()

    def keep_clearing(self, interval: float) -> None:
        """
        Try again and again to remove what is left.

        @param interval: seconds between two attempts.
        """
        self._clearing.start(interval, now=False)

    def _clear_again(self) -> Deferred[None]:
        working = Deferred.fromCoroutine(self._clear(Repairs()))
        return working.addErrback(lambda failure: self.log.failure("bug clearing", failure))

    async def _clear(self, repairs: Repairs) -> None:
        """Remove what is no VM any more, and what was taken out of sight."""
        for vm_cid in self._registry.half_deleted():
            await self._delete_again(vm_cid, repairs)
        await self._sweep_all(repairs)
        await self._scratch.sweep(repairs)

    async def _delete_again(self, vm_cid: str, repairs: Repairs) -> None:
        if self._vms.locks.is_held(vm_cid):
            return  # it is being deleted
        with repairs.attempt(f"cannot delete {vm_cid}, which was half deleted"):
            await self._vms.delete(vm_cid)
            repairs.did(f"deleted {vm_cid}, which was half deleted")

    def close(self) -> None:
        """Leave VMs, and what is left of some, to themselves."""
        self._watcher.close()
        if self._clearing.running:
            self._clearing.stop()

    async def _reconcile(self, repairs: Repairs) -> None:
        await self._stemcells.sweep(repairs)
        known = {vm.vm_cid for vm in self._registry.all()}
        await self._sweep_all(repairs)
        connected = await self._containers.connected()
        # One that hangs is to hold up no other.
        await side_by_side(
            *(
                self._see_to(vm_cid, vm_cid in connected, repairs)
                for vm_cid in sorted(self._disks.owners() | known)
            )
        )
        with repairs.attempt("loop devices that no VM needs"):
            await self._disks.sweep(self._vms.locks.is_held, repairs)

    async def _sweep_all(self, repairs: Repairs) -> None:
        for name in sorted({*self._registry.incomplete(), *await self._strays()}):
            await self._sweep(name, repairs)

    async def _strays(self) -> set[str]:
        """Name what has no directory, and yet a container, a cgroup or an interface."""
        traces = await self._containers.traces()
        return {name for name in traces if not self._registry.path(name).exists()}

    async def _sweep(self, name: str, repairs: Repairs) -> None:
        """Remove what is no VM: its creation or its deletion was not finished."""
        async with self._vms.locks(name):
            if name not in {*self._registry.incomplete(), *await self._strays()}:
                return  # it was only being made
            with repairs.attempt(f"cannot remove {name}, which is no whole VM"):
                self._registry.path(name).mkdir(mode=0o700, exist_ok=True)
                await self._vms.clear_away(name)
                repairs.did(f"removed {name}, which was no whole VM")

    async def _see_to(self, vm_cid: str, connected: bool, repairs: Repairs) -> None:
        """Make what a VM has agree with the records, and have it watched."""
        async with self._vms.locks(vm_cid):
            with repairs.attempt(vm_cid):
                container = self._containers.find(vm_cid)
                if not self._registry.path(vm_cid).exists():
                    await self._disks.release(vm_cid, container)
                    repairs.did(f"took its disks from {vm_cid}, which is gone")
                elif self._registry.exists(vm_cid):
                    vm = self._registry.get(vm_cid)
                    await self._agree(vm, container, connected, repairs)

    async def _agree(
        self, vm: VM, container: ContainerState, connected: bool, repairs: Repairs
    ) -> None:
        runs = container.pid is not None
        if runs and not self._containers.was_interrupted(vm.vm_cid):
            if not connected and await self._containers.reconnect(vm):
                repairs.did(f"connected {vm.vm_cid} again")
            elif await self._containers.guard(vm):
                repairs.did(f"bound {vm.vm_cid} to its own addresses")
            await self._disks.restore(vm.vm_cid, container, repairs)
            self._containers.watch(vm.vm_cid)
        if await self._containers.remind_agent(vm):
            repairs.did(f"told the agent of {vm.vm_cid} which disks it has")

    def _is_down(self, vm_cid: str) -> bool:
        vm = self._registry.find(vm_cid)
        if vm is None:
            return False
        is_up = vm.stopped or self._vms.is_running(vm_cid)
        return not is_up or self._containers.was_interrupted(vm_cid)

    async def _revive(self, vm_cid: str, repairs: Repairs) -> None:
        """Boot a VM that is down, or note that it is, as it may be by itself."""
        async with self._vms.locks(vm_cid):
            with repairs.attempt(f"cannot bring back {vm_cid}"):
                if not self._is_down(vm_cid):
                    return
                vm = self._registry.get(vm_cid)
                if self._restart or self._containers.is_missed(vm_cid):
                    await self._vms.boot_again(vm)
                    repairs.did(f"brought back {vm_cid}")
                else:
                    await self._registry.save(replace(vm, stopped=True))
                    repairs.did(f"noted that {vm_cid} has stopped")

    def _ended(self, vm_cid: str, status: int | None) -> None:
        working = Deferred.fromCoroutine(self._see_to_the_end(vm_cid, status))
        working.addErrback(lambda failure: self.log.failure("bug after an end", failure))

    async def _see_to_the_end(self, vm_cid: str, status: int | None) -> None:
        self.log.warn(
            "the first process of {vm_cid} {how}", vm_cid=vm_cid, how=describe(status)
        )
        if self._restart and is_failure(status):
            pause = self._pause_of(vm_cid)
            self.log.info("booting {vm_cid} in {pause:g} s", vm_cid=vm_cid, pause=pause)
            await deferLater(self._reactor, pause)
            await self._revive(vm_cid, Repairs())
        else:
            await self._note_stopped(vm_cid)

    async def _note_stopped(self, vm_cid: str) -> None:
        async with self._vms.locks(vm_cid):
            if self._is_down(vm_cid):
                vm = self._registry.get(vm_cid)
                await self._registry.save(replace(vm, stopped=True))

    def _pause_of(self, vm_cid: str) -> float:
        """Return after how many seconds to boot a VM: longer each time in a row."""
        now = self._reactor.seconds()
        for other in list(self._failures):
            if self._registry.find(other) is None:
                del self._failures[other]
        count, last = self._failures.get(vm_cid, (0, now))
        count = 0 if now - last > STEADY_SECONDS else count
        self._failures[vm_cid] = (count + 1, now)
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**count)
