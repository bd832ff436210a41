"""
Has the kernel move processes between cgroups at once.

The first move in a while waits until each processor has come by: a grace period of RCU,
which takes 6 to 16 ms.  Others that come as long after it do not wait (rcu_sync in Linux,
kernel/rcu/sync.c).  A runtime moves the first process of each container that it makes.
"""

from __future__ import annotations

import os
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
        """
        Have moves of the next L{LASTING} seconds not wait.

        Nobody waits for this, and if it cannot be done, moves take longer, and that is all.
        """
        with self._changing:
            self._until = monotonic() + LASTING
            if self._is_moving:
                return
            try:
                Thread(target=self._move, name="moves", daemon=True).start()
            except RuntimeError:
                return  # there may be no more threads
            self._is_moving = True

    def _move(self) -> None:
        try:
            processes = opened()
        except (OSError, ValueError):
            processes = None
        while self._goes_on(processes):
            sleep(PAUSE)
        if processes is not None:
            os.close(processes)

    def _goes_on(self, processes: int | None) -> bool:
        """Move, and say whether this thread is to go on with that."""
        is_moved = processes is not None and move_nowhere(processes)
        with self._changing:
            self._is_moving = is_moved and monotonic() < self._until
            return self._is_moving


def opened(root: Path = hierarchies.ROOT) -> int | None:
    """
    Open the list of the processes that are in the cgroup of this one, if it is in any.

    @raise OSError: if the kernel refuses.
    """
    for directory in hierarchies.own(root):
        return os.open(directory / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
    return None


def move_nowhere(processes: int) -> bool:
    """
    Move this process to the cgroup that it is in, for which the kernel waits all the same.

    @param processes: that cgroup's, L{opened}.
    @return: whether the kernel took it.
    """
    try:
        os.write(processes, ITSELF)
    except OSError:
        return False
    return True
