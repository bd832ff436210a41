"""How VMs are: whether each runs, and why not if it does not."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping
from enum import Enum

from twisted.internet.threads import deferToThread

from runc_cpi.daemon.base.locks import Locks
from runc_cpi.daemon.vms import progress
from runc_cpi.daemon.vms.containers import Containers
from runc_cpi.daemon.vms.progress import Progress
from runc_cpi.daemon.vms.registry import Registry
from runc_cpi.daemon.vms.vm import VM


class Condition(Enum):
    """
    How a VM is.

    @cvar RUNNING: its first process is alive.
    @cvar STOPPED: the operator stopped it; it stays down.
    @cvar ENDED: it ended by itself, and stays down.
    @cvar RESTARTING: it ended by itself, and is booted again.
    @cvar UNBOOTABLE: it was taken down to be booted, which failed.
    @cvar INTERRUPTED: it halted for a reboot that was cut off.
    @cvar CHANGING: a call is at work on it, and it does not run meanwhile.
    @cvar SET_ASIDE: its record cannot be read, so nothing is done to it.
    """

    RUNNING = "running"
    STOPPED = "stopped"
    ENDED = "ended"
    RESTARTING = "restarting"
    UNBOOTABLE = "unbootable"
    INTERRUPTED = "interrupted"
    CHANGING = "changing"
    SET_ASIDE = "set_aside"


class Conditions:
    """
    Looks how all VMs are.

    @param locks: tell of which VMs calls are at work on.
    """

    def __init__(self, registry: Registry, containers: Containers, locks: Locks) -> None:
        self._registry, self._containers, self._locks = registry, containers, locks

    async def all(self, running: Collection[str] = ()) -> Mapping[str, Condition]:
        """
        Return how each VM is, by its cid.

        @param running: those that somebody has just seen running: they are not looked at.
        """
        found = dict.fromkeys(self._registry.set_aside(), Condition.SET_ASIDE)
        vms = self._registry.all()
        unseen = [vm for vm in vms if vm.vm_cid not in running]
        busy = {vm.vm_cid for vm in unseen if self._locks.vm.is_held(vm.vm_cid)}
        found.update((vm.vm_cid, Condition.RUNNING) for vm in vms)
        if unseen:
            found.update(await deferToThread(self._look, unseen, busy))
        return found

    def _look(self, vms: Iterable[VM], busy: Container[str]) -> dict[str, Condition]:
        """Look at VMs; this blocks, for some tenths of a millisecond a VM."""
        found = {}
        for vm in vms:
            state = self._containers.find(vm.vm_cid)
            found[vm.vm_cid] = condition(
                vm,
                runs=state.pid is not None,
                reboot=progress.read(state.bundle),
                is_busy=vm.vm_cid in busy,
            )
        return found


def condition(vm: VM, *, runs: bool, reboot: Progress | None, is_busy: bool) -> Condition:
    """
    Return how a VM is.

    @param runs: whether its first process is alive.
    @param reboot: how far a reboot has come that is not finished.
    @param is_busy: whether a call is at work on it.
    """
    if runs:
        return Condition.RUNNING
    if is_busy:
        return Condition.CHANGING
    if reboot is not None:
        is_down = reboot is Progress.BOOTING
        return Condition.UNBOOTABLE if is_down else Condition.INTERRUPTED
    if vm.stopped:
        return Condition.STOPPED if vm.end is None else Condition.ENDED
    return Condition.RESTARTING
