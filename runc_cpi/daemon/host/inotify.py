"""Tells when files change: one descriptor for all of them (inotify(7))."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runc_cpi.daemon.host.libc import check, libc
from runc_cpi.daemon.host.readable import Readable

MODIFIED, OVERFLOW, IGNORED = 0x2, 0x4000, 0x8000  # sys/inotify.h
_EVENT = struct.Struct("iIII")  # the watch, what happened, a cookie, the size of a name
_BUFFER = 1 << 16  # bytes


class Inotify:
    """
    Watches files for changes of their content.

    Twisted's own class closes all when one of the files goes.

    @raise OSError: if the kernel has no more to give (C{fs.inotify.max_user_instances}).
    """

    def __init__(self, reactor: Any) -> None:
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self._fd = check(libc.inotify_init1(flags), "inotify_init1")
        self._watches: dict[int, Callable[[], None]] = {}
        self._reader = Readable(reactor, self._fd, "inotify", self._read)

    def close(self) -> None:
        """Watch nothing any more."""
        self._reader.close()

    def watch(self, path: Path, changed: Callable[[], None]) -> int:
        """
        Watch a file.

        @param changed: is called when it was written to; also without need, if more
            happened than the kernel could tell.
        @return: what to L{ignore} it by.
        @raise OSError: if it is not there, or the kernel has no more watches to give.
        """
        name = os.fsencode(path)
        watch = check(libc.inotify_add_watch(self._fd, name, MODIFIED), str(path))
        self._watches[watch] = changed
        return watch

    def ignore(self, watch: int) -> None:
        """Watch a file no more, whether it is still there or not."""
        if self._watches.pop(watch, None) is not None:
            libc.inotify_rm_watch(self._fd, watch)

    def _read(self) -> None:
        try:
            events = os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return
        offset = 0
        while offset < len(events):
            watch, what, _, size = _EVENT.unpack_from(events, offset)
            offset += _EVENT.size + size
            if what & OVERFLOW:
                for changed in list(self._watches.values()):
                    changed()
            elif what & IGNORED:
                self._watches.pop(watch, None)  # the file is gone
            elif watch in self._watches:
                self._watches[watch]()
