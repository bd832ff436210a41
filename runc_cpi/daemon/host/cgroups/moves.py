"""
Has the kernel move processes between cgroups at once.

The first move in a while waits until each processor has come by: a grace period of RCU,
which takes 6 to 16 ms.  Others that come as long after it do not wait (rcu_sync in Linux,
kernel/rcu/sync.c).  A runtime moves the first process of each container that it makes.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.threads import deferToThread

from runc_cpi.daemon.host.cgroups import hierarchies

ITSELF = b"0"  # what a process writes to cgroup.procs to move itself


class Moves:
    """Does the waiting beforehand, beside other work."""

    def __init__(self) -> None:
        self._is_waiting = False

    def hasten(self) -> None:
        """Have moves that come in some 10 ms not wait.  Nobody waits for this."""
        if not self._is_waiting:
            self._is_waiting = True
            deferToThread(move_nowhere).addBoth(self._waited)

    def _waited(self, _: object) -> None:
        """Forget also what went wrong: moves take longer then, and that is all."""
        self._is_waiting = False


def move_nowhere(root: Path = hierarchies.ROOT) -> None:
    """
    Move this process to the cgroup that it is in, for which the kernel waits all the same.

    @raise OSError: if the kernel refuses; there may be no cgroup that can be written.
    """
    for directory in hierarchies.own(root):
        fd = os.open(directory / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        with open(fd, "wb", buffering=0) as file:
            file.write(ITSELF)
        return
