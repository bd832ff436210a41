"""
Files that callers pass, kept where the daemon never touches them.

A file may be on a file system that does not answer, on a network or in user space.  Then
reading it hangs, and so does closing it (FUSE's flush), even in a child that has inherited
it and is about to become another program.  So the daemon puts each file into a parcel at
once: it sends the file over a socket, and does not receive it.  The parcel is the other end
of that socket, which is safe to hold, to look at and to inherit.  C{host/images/reading.py}
takes the file out, in a process of its own.
"""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import time
from collections import deque
from contextlib import suppress

# How many threads close files, each of which may hang; further files wait for a thread.
CLOSERS = 64
# How long a file may take to leave the table of descriptors.
CLOSING_SECONDS = 0.02


class _Closers:
    """Closes descriptors in threads, at most C{limit} of them at once."""

    def __init__(self, limit: int) -> None:
        self._free = threading.Semaphore(limit)
        self._waiting: deque[int] = deque()

    def close(self, descriptor: int) -> None:
        """Have a thread close a descriptor."""
        self._waiting.append(descriptor)
        if self._free.acquire(blocking=False):
            threading.Thread(target=self._work, name="closer", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                descriptor = self._waiting.popleft()
            except IndexError:
                break
            # Whatever error there is, the descriptor is closed (close(2)).
            with suppress(OSError):
                os.close(descriptor)
        self._free.release()


_closers = _Closers(CLOSERS)


def pack(descriptor: int) -> int:
    """
    Put an open file into a parcel, and close it.

    @return: the descriptor of the parcel, for L{close}.
    @raise OSError: if too many files are in parcels (unix(7)); it is closed all the same.
    """
    try:
        # A child that is started before it is closed must not go on with it.
        os.set_inheritable(descriptor, False)
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

    A descriptor leaves the table before its closing can hang, so this takes microseconds.
    It takes longer, up to L{CLOSING_SECONDS}, if all threads that close hang.
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
    """Have a file or a parcel closed, without waiting: that may hang."""
    _closers.close(descriptor)
