"""How VMs are: whether each runs, and why not if it does not."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from twisted.internet.threads import deferToThread

from runc_cpi.daemon.base.locks import Locks
from runc_cpi.daemon.vms import progress
from runc_cpi.daemon.vms.containers import Containers
from runc_cpi.daemon.vms.progress import Progress
from runc_cpi.daemon.vms.vm import VM


class Condition(Enum):
    """
    How a VM is.

    @cvar RUNNING: its first process is alive.
    @cvar STOPPED: the operator stopped it, or it halted; it stays down.
    @cvar ENDED: it ended by itself, and is booted again.
    @cvar UNBOOTABLE: it was taken down to be booted, which failed.
    @cvar INTERRUPTED: it halted for a reboot that was cut off.
    @cvar CHANGING: a call is at work on it, and it does not run meanwhile.
    """

    RUNNING = "running"
    STOPPED = "stopped"
    ENDED = "ended"
    UNBOOTABLE = "unbootable"
    INTERRUPTED = "interrupted"
    CHANGING = "changing"


async def conditions_of(
    vms: Sequence[VM], containers: Containers, locks: Locks
) -> dict[str, Condition]:
    """Return how each of some VMs is, by its cid."""
    busy = {vm.vm_cid for vm in vms if locks.vm.is_held(vm.vm_cid)}

    def look() -> dict[str, Condition]:
        found = {}
        for vm in vms:
            state = containers.find(vm.vm_cid)
            found[vm.vm_cid] = condition(
                vm,
                runs=state.pid is not None,
                reboot=progress.read(state.bundle),
                is_busy=vm.vm_cid in busy,
            )
        return found

    return await deferToThread(look)


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
    return Condition.STOPPED if vm.stopped else Condition.ENDED
