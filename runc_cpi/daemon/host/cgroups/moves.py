"""
Has the kernel move processes between cgroups at once.

The first move in a while waits until each processor has come by: a grace period of RCU,
which takes 6 to 16 ms.  Others that come as long after it do not wait (rcu_sync in Linux,
kernel/rcu/sync.c).  A runtime moves the first process of each container that it makes.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from time import monotonic, sleep

from runc_cpi.daemon.host.cgroups import hierarchies

LASTING = 0.05  # seconds
PAUSE = 0.004  # seconds; less than a grace period takes
ITSELF = b"0"  # what a process writes to cgroup.procs to move itself


class Moves:
    """Does the waiting beforehand, in a thread."""

    def __init__(self) -> None:
        self._changing = Lock()
        self._until = 0.0
        self._is_moving = False

    def hasten(self) -> None:
        """Have moves of the next L{LASTING} seconds not wait.  Nobody waits for this."""
        with self._changing:
            self._until = monotonic() + LASTING
            if not self._is_moving:
                self._is_moving = True
                Thread(target=self._move, name="moves", daemon=True).start()

    def _move(self) -> None:
        while True:
            # If that cannot be done, moves take longer, and that is all.
            with suppress(OSError):
                move_nowhere()
            with self._changing:
                if monotonic() > self._until:
                    self._is_moving = False
                    return
            sleep(PAUSE)


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
