"""The end of all that is in a cgroup, whatever its processes do against that."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from runc_cpi.daemon.host.cgroups import hierarchies
from runc_cpi.daemon.host.oci.init import Init, belongs
from runc_cpi.daemon.storage.descent import Entered, walk
from runc_cpi.errors import StillRunning

TIMEOUT = 30.0
PAUSE = 0.05
# What a cgroup's freezer is told, on v1 and on v2 (freezer-subsystem.rst, cgroup-v2.rst).
FREEZE = (("freezer.state", b"FROZEN"), ("cgroup.freeze", b"1"))
THAW = (("freezer.state", b"THAWED"), ("cgroup.freeze", b"0"))


async def end(reactor: Any, cgroup: str, init: Init | None) -> None:
    """
    Kill what is in a cgroup and in those below it, and wait until it is gone.

    @param init: the first process of its pid namespace, which ends after all others.
    @raise StillRunning: if that takes more than L{TIMEOUT} seconds.
    """
    deadline = reactor.seconds() + TIMEOUT
    alive = init
    while left := await deferToThread(strike, cgroup):
        if reactor.seconds() > deadline:
            raise StillRunning(_complaint(min(left), cgroup))
        if alive is None:
            await deferLater(reactor, PAUSE)
        elif await alive.ended_within(PAUSE):
            # As a rule all others have ended by now: look again at once.
            alive = None
    if init is not None:
        patience = max(0.0, deadline - reactor.seconds())
        if not await init.ended_within(patience):
            raise StillRunning(_complaint(init.pid, cgroup))


def _complaint(pid: int, cgroup: str) -> str:
    return (
        f"process {pid} of {os.path.basename(cgroup)} did not end within {TIMEOUT:.0f} s "
        "of SIGKILL: it hangs in the kernel"
    )


def strike(cgroup: str, root: Path = hierarchies.ROOT) -> set[int]:
    """
    Deal one blow to all in a cgroup and below it, and say who was still there.

    Who forks while it is listed could stay ahead of that.  So the kernel is asked to
    kill, which it does at one stroke since Linux 5.14; before, all are frozen meanwhile.
    What was frozen, by the VM or here, does not end before it is thawed: with v1 not even
    by SIGKILL.  Whoever could freeze it again is about to end by then.
    """
    tops = hierarchies.directories(cgroup, root)
    if not _tell(tops, (("cgroup.kill", b"1"),)):
        _tell(tops, FREEZE)
    found = hierarchies.processes(cgroup, root)
    for pid in found:
        _kill(pid, cgroup)
    for top in tops:
        _thaw(top)
    return found


def _tell(tops: list[Path], messages: tuple[tuple[str, bytes], ...]) -> bool:
    """Write to files of cgroups, and say whether there is one at all that took it."""
    taken = 0
    for top in tops:
        with suppress(FileNotFoundError):
            directory = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                taken += sum(hierarchies.write(directory, *message) for message in messages)
            finally:
                os.close(directory)
    return taken > 0


def _kill(pid: int, cgroup: str) -> None:
    """Send SIGKILL, but not to a stranger who has got the pid meanwhile."""
    with suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            if belongs(pid, cgroup):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)


def _thaw(top: Path) -> None:
    """Thaw a cgroup, and those below it after it."""
    for step in walk(top):
        if isinstance(step, Entered):
            for name, value in THAW:
                hierarchies.write(step.fd, name, value)
