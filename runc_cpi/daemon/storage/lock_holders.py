"""Who holds the lock of a file (flock(2)), and the end of those that may be ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from twisted.logger import Logger

_log = Logger()


def names(path: Path) -> str:
    """Name the processes that hold the lock of a file."""
    holders = _holders(os.path.realpath(path))
    return ", ".join(sorted(f"{pid} ({_command(pid)})" for pid in holders))


def end(path: Path, may_end: Callable[[int], bool]) -> None:
    """
    Send SIGKILL to those who hold the lock of a file and may be ended.

    @param may_end: says so of a pid.
    """
    real = os.path.realpath(path)
    for pid in _holders(real):
        with suppress(OSError):  # it has ended
            pidfd = os.pidfd_open(pid)
            try:
                # The pid may have become a stranger's before it was opened, but not since.
                if may_end(pid) and _holds(pid, real):
                    _log.info(
                        "ending {pid} ({command}), which an earlier daemon left at work",
                        pid=pid,
                        command=_command(pid),
                    )
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)


def _holders(real: str) -> list[int]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if _holds(pid, real)]


def _holds(pid: int, real: str) -> bool:
    """Say whether a process holds the lock by one of its descriptors."""
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False  # it has ended
    return any(_has_lock(pid, descriptor, real) for descriptor in descriptors)


def _has_lock(pid: int, descriptor: str, real: str) -> bool:
    """
    Say whether a descriptor holds the lock (proc_pid_fdinfo(5)).

    Only its link is read: a look at the file itself may hang, if it is a VM's.  A file of a
    VM may have the same name, so the kernel is asked who has the lock.
    """
    try:
        if os.readlink(f"/proc/{pid}/fd/{descriptor}") != real:
            return False
        return b"\nlock:" in Path(f"/proc/{pid}/fdinfo/{descriptor}").read_bytes()
    except OSError:
        return False  # it was closed meanwhile


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_bytes().decode("utf-8", "replace").strip()
    except OSError:
        return "ended"
