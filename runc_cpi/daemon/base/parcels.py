"""
Files that callers pass, kept where the daemon never touches them.

A file may be of a file system that does not answer, on a network or in user space.  What
touches it hangs then: reading it, and closing it (FUSE's flush), even in a child that has
inherited it and is about to become another program.  So a file goes into a parcel at
once: it is sent over a socket that nobody has received from.  That socket is held in its
stead, is safe to inherit and to look at, and C{host/images/reading.py} opens it elsewhere.
"""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import time
from collections import deque
from contextlib import suppress

# Of files that do not even close; only more than these at once are left open for a while.
CLOSERS = 64
CLOSING_SECONDS = 0.02


class _Closers:
    """Closes descriptors in threads, as many as there are descriptors that hang."""

    def __init__(self, limit: int) -> None:
        self._free = threading.Semaphore(limit)
        self._overdue: deque[int] = deque()

    def close(self, descriptor: int) -> None:
        """Have a descriptor closed."""
        self._overdue.append(descriptor)
        if self._free.acquire(blocking=False):
            threading.Thread(target=self._work, name="closer", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                descriptor = self._overdue.popleft()
            except IndexError:
                break
            # Whatever the file system says of it, the descriptor is gone (close(2)).
            with suppress(OSError):
                os.close(descriptor)
        self._free.release()


_closers = _Closers(CLOSERS)


def pack(descriptor: int) -> int:
    """
    Put an open file into a parcel, and close it.

    @return: the descriptor of the parcel, for L{close}.
    @raise OSError: if the kernel has no room for it (unix(7)); it is closed all the same.
    """
    try:
        sender, parcel = socket.socketpair()
        try:
            socket.send_fds(sender, [b"."], [descriptor])
        except OSError:
            parcel.close()
            raise
        finally:
            sender.close()
    finally:
        close(descriptor)
        _wait_until_gone(descriptor)
    return parcel.detach()


def _wait_until_gone(descriptor: int) -> None:
    """
    Wait until no child can inherit a descriptor that is being closed.

    It leaves the table before anything can hang, so this takes some microseconds, and
    more only if the threads that close are all held up.
    """
    deadline = time.monotonic() + CLOSING_SECONDS
    while _is_open(descriptor) and time.monotonic() < deadline:
        time.sleep(0)


def _is_open(descriptor: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_GETFD)
    except OSError:
        return False
    return True


def close(descriptor: int) -> None:
    """Close a file or a parcel, which may hang, without waiting for that."""
    _closers.close(descriptor)
