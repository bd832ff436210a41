"""The lock of a work_dir: one daemon uses it, and only after the last one's children."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from runc_cpi.daemon.storage.records import FILE_MODE

CHILDREN_TIMEOUT = 60.0  # seconds
PAUSE = 0.02  # seconds


class DaemonLock:
    """
    Holds a C{work_dir} for one daemon, by two locked files (flock(2)).

    Both are open for writing: so no VM that has a part of the file system of C{work_dir}
    can make that read-only (C{EBUSY} of mount(2)).

    C{lock} is held by the daemon alone.  C{children} is held by the daemon and by each
    process that inherits L{mark}, so it is free when the last of them has ended.
    """

    def __init__(self, work_dir: Path) -> None:
        self._lock_path, self._children_path = work_dir / "lock", work_dir / "children"
        self._lock: int | None = None
        self._children: int | None = None

    @property
    def mark(self) -> int:
        """A descriptor for children to inherit, so that the next daemon waits for them."""
        assert self._children is not None
        return self._children

    def take(self) -> None:
        """
        Take the lock, and wait until all children of an earlier daemon have ended.

        @raise BlockingIOError: if another daemon has the lock.
        @raise TimeoutError: if children do not end within L{CHILDREN_TIMEOUT} seconds; it
            names them.
        @raise OSError: if a file cannot be opened.
        """
        self._lock = _locked(self._lock_path, timeout=0.0)
        try:
            self._children = _locked(self._children_path, timeout=CHILDREN_TIMEOUT)
        except BlockingIOError:
            raise TimeoutError(_holders(self._children_path)) from None

    def release(self) -> None:
        """Release the lock, if it is held; children go on to hold their file."""
        for descriptor in (self._lock, self._children):
            if descriptor is not None:
                os.close(descriptor)
        self._lock = self._children = None


def _locked(path: Path, timeout: float) -> int:
    """
    Open a file and lock it.

    @param timeout: for how many seconds to wait while another process has it locked.
    @return: a descriptor of the file; the lock is released with its last copy.
    @raise BlockingIOError: if it is still locked then.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(fd)
                raise
            time.sleep(PAUSE)
        else:
            return fd


def _holders(path: Path) -> str:
    """Name the processes that have a file open."""
    found, real = set(), os.path.realpath(path)
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            # Only links are read: a look at the file itself may hang, if it is a VM's.
            if os.readlink(link) == real:
                process = link.parents[1]
                comm = (process / "comm").read_bytes().decode("utf-8", "replace")
                found.add(f"{process.name} ({comm.strip()})")
        except OSError:
            continue  # it ended, or is no file
    return ", ".join(sorted(found))
