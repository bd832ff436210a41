"""Files of a tree that a stemcell or a VM wrote, and whose links are not to be trusted."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OPENAT2 = 437  # the same number on all architectures
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_IN_ROOT = 0x10

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


class Tree:
    """
    A directory taken as the root of all that is looked up in it.

    Links resolve as they would after a chroot, by the kernel and without a race
    (openat2(2), RESOLVE_IN_ROOT): no name leads out.

    @param root: an open directory.
    """

    def __init__(self, root: int) -> None:
        self._root = root

    @classmethod
    @contextmanager
    def at(cls, path: Path) -> Iterator[Tree]:
        """Open the tree at C{path}."""
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield cls(fd)
        finally:
            os.close(fd)

    def open(self, name: str, flags: int, mode: int = 0) -> int:
        """
        Open C{name} and return the descriptor.

        @raise OSError: as open(2) says.
        """
        how = _OpenHow(
            flags | os.O_CLOEXEC, mode, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS
        )
        fd: int = _libc.syscall(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(self._root),
            ctypes.c_char_p(os.fsencode(name)),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if fd < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), name)
        return fd

    def stat(self, name: str) -> os.stat_result | None:
        """Return what C{name} leads to, or L{None} if it leads nowhere."""
        try:
            fd = self.open(name, os.O_PATH)
        except OSError:
            return None
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def resolve(self, name: str) -> str | None:
        """Return the last part of the name of what C{name} leads to, or L{None}."""
        try:
            fd = self.open(name, os.O_PATH)
        except OSError:
            return None
        try:
            return os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))
        finally:
            os.close(fd)
