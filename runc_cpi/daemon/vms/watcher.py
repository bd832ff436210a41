"""Notices when a VM ends without having been asked to."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from runc_cpi.daemon.vms.interfaces import IFirstProcess


class Watcher:
    """
    Holds on to the first process of each running VM.

    @ivar ended: called with the C{vm_cid} and the wait status, if that can be told, of
        one that ended while it was watched.
    """

    log = Logger()

    def __init__(self) -> None:
        self._held: dict[str, IFirstProcess] = {}
        self.ended: Callable[[str, int | None], None] = lambda vm_cid, status: None

    def watch(self, vm_cid: str, init: IFirstProcess) -> None:
        """Watch a process from here on, and let go of it at its end."""
        self.unwatch(vm_cid)
        self._held[vm_cid] = init
        waiting = Deferred.fromCoroutine(self._wait(vm_cid, init))
        waiting.addErrback(lambda failure: self.log.failure("bug watching", failure))

    def unwatch(self, vm_cid: str) -> None:
        """Watch a VM no more; its end is expected, or of no interest."""
        init = self._held.pop(vm_cid, None)
        if init is not None:
            init.close()

    def close(self) -> None:
        """Watch nothing any more."""
        for vm_cid in list(self._held):
            self.unwatch(vm_cid)

    async def _wait(self, vm_cid: str, init: IFirstProcess) -> None:
        if not await init.ended_within(None):
            return  # it is not watched any more
        status = await init.exit_status()
        if self._held.get(vm_cid) is init:
            self.unwatch(vm_cid)
            self.ended(vm_cid, status)


def is_failure(status: int | None) -> bool:
    """
    Say whether a VM's end was none that was wanted.

    A VM is halted by its init's exit with status 0, or by reboot(2) in it, which the
    kernel turns into SIGINT (pid_namespaces(7)).

    @param status: as wait(2) has it, or L{None} if it cannot be told.
    """
    if status is None:
        return True
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) != signal.SIGINT
    return os.WEXITSTATUS(status) != 0


def describe(status: int | None) -> str:
    """Say in words how a process ended."""
    if status is None:
        return "ended, it is not known how"
    if os.WIFSIGNALED(status):
        return f"was ended by signal {os.WTERMSIG(status)}"
    return f"ended with status {os.WEXITSTATUS(status)}"
