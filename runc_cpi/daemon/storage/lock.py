"""The lock of a work_dir: one daemon uses it, and only after the last one's children."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from runc_cpi.daemon.storage import lock_holders
from runc_cpi.daemon.storage.records import FILE_MODE

NAME = "lock"
CHILDREN_TIMEOUT = 60.0  # seconds
# A daemon that is killed while it starts a program leaves a copy of its lock with the
# process that is about to run it (fork(2)).  Seconds:
COPY_TIMEOUT = 1.0
PAUSE = 0.02  # seconds
# To look for all who hold a lock takes a while where many processes are.
LOOK_INTERVAL = 1.0  # seconds


def nobody(pid: int) -> bool:
    """Say of each process that it may not be ended."""
    return False


class DaemonLock:
    """
    Holds a C{work_dir} for one daemon, by two locked files (flock(2)).

    Both are open for writing: so no VM that has a part of the file system of C{work_dir}
    can make that read-only (C{EBUSY} of mount(2)).

    C{lock} is held by the daemon alone.  C{children} is held by the daemon and by each
    process that inherits L{mark}, so it is free when the last of them has ended.
    """

    def __init__(self, work_dir: Path) -> None:
        self._lock_path, self._children_path = work_dir / NAME, work_dir / "children"
        self._lock: int | None = None
        self._children: int | None = None

    @property
    def mark(self) -> int:
        """A descriptor for children to inherit, so that the next daemon waits for them."""
        assert self._children is not None
        return self._children

    def take(self, may_end: Callable[[int], bool] = nobody) -> None:
        """
        Take the lock, and wait until all children of an earlier daemon have ended.

        @param may_end: says of a pid whether that child is to be ended, and not waited for.
        @raise BlockingIOError: if another daemon has the lock.
        @raise TimeoutError: if children do not end within L{CHILDREN_TIMEOUT} seconds; it
            names them.
        @raise OSError: if a file cannot be opened.
        """
        self._lock = self._lock_of_daemon()
        self._children = self._lock_of_children(may_end)

    def _lock_of_daemon(self) -> int:
        started = time.monotonic()
        while True:
            try:
                return _locked(self._lock_path)
            except BlockingIOError:
                if time.monotonic() >= started + COPY_TIMEOUT:
                    raise
                time.sleep(PAUSE)

    def _lock_of_children(self, may_end: Callable[[int], bool]) -> int:
        path, started = self._children_path, time.monotonic()
        next_look = started
        while True:
            try:
                return _locked(path)
            except BlockingIOError:
                now = time.monotonic()
                if now >= started + CHILDREN_TIMEOUT:
                    raise TimeoutError(lock_holders.names(path)) from None
                if now >= next_look:
                    lock_holders.end(path, may_end)
                    next_look = now + LOOK_INTERVAL
                time.sleep(PAUSE)

    def release(self) -> None:
        """Release the lock, if it is held; children go on to hold their file."""
        for descriptor in (self._lock, self._children):
            if descriptor is not None:
                os.close(descriptor)
        self._lock = self._children = None


def _locked(path: Path) -> int:
    """
    Open a file and lock it.

    @return: a descriptor of the file; the lock is released with its last copy.
    @raise BlockingIOError: if another process has it locked.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise
    return fd
