"""Who holds the lock of a file (flock(2)), and the end of those that may be ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from twisted.logger import Logger

_log = Logger()


def names(path: Path) -> str:
    """Name the processes that hold the lock of a file."""
    return ", ".join(sorted(f"{pid} ({_command(pid)})" for pid in set(_holders(path))))


def end(path: Path, may_end: Callable[[int], bool]) -> None:
    """
    Send SIGKILL to those who hold the lock of a file and may be ended.

    @param may_end: says so of a pid.
    """
    for pid in set(_holders(path)):
        with suppress(OSError):  # it has ended
            pidfd = os.pidfd_open(pid)
            try:
                # The pid may have become a stranger's before it was opened, but not since.
                if may_end(pid) and pid in _holders(path, str(pid)):
                    _log.info(
                        "ending {pid} ({command}), which an earlier daemon left at work",
                        pid=pid,
                        command=_command(pid),
                    )
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)


def _holders(path: Path, pids: str = "[0-9]*") -> Iterator[int]:
    """
    Find the processes that hold the lock of a file by a descriptor.

    @param pids: a pattern of the pids to look at.
    """
    real = os.path.realpath(path)
    for link in Path("/proc").glob(f"{pids}/fd/*"):
        # Only the link is read: a look at the file itself may hang, if it is a VM's.  The
        # name may also be that of a VM's own file; the kernel says who has the lock
        # (proc_pid_fdinfo(5)).
        with suppress(OSError):  # the process has ended, or the file is closed
            process = link.parents[1]
            if os.readlink(link) == real:
                told = (process / "fdinfo" / link.name).read_bytes()
                if b"\nlock:" in told:
                    yield int(process.name)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_bytes().decode("utf-8", "replace").strip()
    except OSError:
        return "ended"
