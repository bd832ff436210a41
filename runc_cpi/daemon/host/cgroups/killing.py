"""Kills all processes of a cgroup, whatever they do against it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from runc_cpi.daemon.host.cgroups import hierarchies
from runc_cpi.daemon.host.oci.first_process import FirstProcess
from runc_cpi.daemon.storage.descent import Entered, walk
from runc_cpi.errors import StillRunning

TIMEOUT = 30.0  # seconds
PAUSE = 0.05  # seconds
# Files of a cgroup and what is written to them, on v1 and on v2 (freezer-subsystem.rst,
# cgroup-v2.rst).
KILL = (("cgroup.kill", b"1"),)
FREEZE = (("freezer.state", b"FROZEN"), ("cgroup.freeze", b"1"))
THAW = (("freezer.state", b"THAWED"), ("cgroup.freeze", b"0"))


async def end(reactor: Any, cgroup: str, first: FirstProcess | None) -> None:
    """
    Kill what is in a cgroup and in those below it, and wait until it is gone.

    @param first: the first process of its pid namespace, which ends after all others.
    @raise StillRunning: if that takes more than L{TIMEOUT} seconds.
    """
    deadline = reactor.seconds() + TIMEOUT
    alive = first
    while left := await deferToThread(kill_once, cgroup):
        if reactor.seconds() > deadline:
            raise StillRunning(_complaint(min(left), cgroup))
        if alive is None:
            await deferLater(reactor, PAUSE)
        elif await alive.ended_within(PAUSE):
            # As a rule all others have ended by now: look again at once.
            alive = None
    if first is not None:
        seconds_left = max(0.0, deadline - reactor.seconds())
        if not await first.ended_within(seconds_left):
            raise StillRunning(_complaint(first.pid, cgroup))


def _complaint(pid: int, cgroup: str) -> str:
    return (
        f"process {pid} of {os.path.basename(cgroup)} did not end within {TIMEOUT:.0f} s "
        "of SIGKILL: it hangs in the kernel"
    )


def kill_once(cgroup: str, root: Path = hierarchies.ROOT) -> set[int]:
    """
    Kill all that is in a cgroup and below it now, and return who was still there.

    A process that forks while processes are listed could stay ahead of the list.  So the
    kernel is asked to kill all in one step, which it can since Linux 5.14; before, all
    are frozen while they are killed.  A frozen process does not end before it is thawed,
    with v1 not even by SIGKILL.  Those who could freeze it again are about to end by then.

    @return: the pids of those that were found.
    """
    tops = hierarchies.directories(cgroup, root)
    if not _write_to(tops, KILL):
        _write_to(tops, FREEZE)
    found = hierarchies.processes(cgroup, root)
    for pid in found:
        _kill(pid, cgroup)
    for top in tops:
        _thaw(top)
    return found


def _write_to(tops: list[Path], values: tuple[tuple[str, bytes], ...]) -> bool:
    """Write to files of cgroups, and say whether that was possible with one at least."""
    written = 0
    for top in tops:
        with suppress(FileNotFoundError):
            directory = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                written += sum(hierarchies.write(directory, *value) for value in values)
            finally:
                os.close(directory)
    return written > 0


def _kill(pid: int, cgroup: str) -> None:
    """Send SIGKILL, but not to a stranger who has got the pid meanwhile."""
    with suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            if hierarchies.is_in(pid, cgroup):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)


def _thaw(top: Path) -> None:
    """Thaw a cgroup, and those below it after it, if its hierarchy can freeze."""
    if not any(os.path.exists(top / name) for name, _ in THAW):
        return
    for step in walk(top):
        if isinstance(step, Entered):
            for name, value in THAW:
                hierarchies.write(step.fd, name, value)
