"""The first process of a container, held by a pidfd so that its pid cannot be mixed up."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from runc_cpi.daemon.host.cgroups import hierarchies
from runc_cpi.daemon.host.high_descriptors import raised
from runc_cpi.daemon.vms.interfaces import IFirstProcess

# linux/pidfd.h: struct pidfd_info, in bytes.
INFO_SIZE = 64
PIDFD_GET_INFO = (3 << 30) | (INFO_SIZE << 16) | (0xFF << 8) | 11
INFO_EXIT = 1 << 3
EXIT_CODE_OFFSET = 60
# A parent reaps soon; the kernel tells the exit status from then on.
STATUS_TRIES = 50
STATUS_PAUSE = 0.1  # seconds


@implementer(IReadDescriptor, IFirstProcess)
class FirstProcess:
    """
    The first process of a container, alive when it was found.

    A pidfd stays bound to the process it was opened for (pidfd_open(2)), and becomes
    readable when that process ends, whoever its parent is.

    @ivar pid: as the host sees it.
    """

    def __init__(self, reactor: Any, pid: int, pidfd: int) -> None:
        self._reactor, self._pidfd = reactor, pidfd
        self._waiting: Deferred[bool] | None = None
        self.pid = pid

    @classmethod
    def find(cls, reactor: Any, pid: int, cgroup: str) -> FirstProcess | None:
        """
        Take hold of C{pid} if it is alive and belongs to C{cgroup}.

        @param cgroup: the VM's path in its cgroup hierarchies.  A process is in it only
            while it is one of that VM's, so a pid that was used again is never taken for
            the VM's.
        """
        try:
            pidfd = raised(os.pidfd_open(pid))
        except (ProcessLookupError, ValueError):
            return None
        if _ended(pidfd) or not hierarchies.is_in(pid, cgroup):
            os.close(pidfd)
            return None
        return cls(reactor, pid, pidfd)

    def send(self, number: int) -> None:
        """Send a signal; nothing happens if the process has ended."""
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            return

    async def ended_within(self, seconds: float | None) -> bool:
        """Wait for the end, at most so long, and say whether it came."""
        if _ended(self._pidfd):
            return True
        self._waiting = Deferred()
        self._reactor.addReader(self)
        if seconds is None:
            return await self._waiting
        alarm = self._reactor.callLater(seconds, self._resume, False)
        try:
            return await self._waiting
        finally:
            if alarm.active():
                alarm.cancel()

    async def exit_status(self) -> int | None:
        """Return the wait status, which the kernel tells once a parent has reaped it."""
        for _ in range(STATUS_TRIES):
            status = _exit_status(self._pidfd)
            if status is not None:
                return status
            await deferLater(self._reactor, STATUS_PAUSE)
        return None

    def close(self) -> None:
        """Let go of the process."""
        if self._waiting is not None:
            self._resume(False)
        os.close(self._pidfd)

    def _resume(self, ended: bool) -> None:
        self._reactor.removeReader(self)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(ended)

    def fileno(self) -> int:
        """Return what the reactor watches."""
        return self._pidfd

    def doRead(self) -> None:
        """The process ended."""
        self._resume(True)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops; nobody is left to be told."""

    def logPrefix(self) -> str:
        """Name this reader in the log."""
        return f"first process {self.pid}"


def _ended(pidfd: int) -> bool:
    watch = select.poll()
    watch.register(pidfd, select.POLLIN)
    return bool(watch.poll(0))


def _exit_status(pidfd: int) -> int | None:
    info = bytearray(INFO_SIZE)
    struct.pack_into("<Q", info, 0, INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, PIDFD_GET_INFO, info)
    except OSError:
        return None  # a kernel before 6.15, or it is not reaped yet
    (mask,) = struct.unpack_from("<Q", info)
    (status,) = struct.unpack_from("<i", info, EXIT_CODE_OFFSET)
    return int(status) if mask & INFO_EXIT else None
