"""openat2(2): opens a file, and limits where its name may lead."""

from __future__ import annotations

import ctypes
import os

# RESOLVE_* of linux/openat2.h.
NO_XDEV = 0x01
NO_MAGICLINKS = 0x02
NO_SYMLINKS = 0x04
IN_ROOT = 0x10

_NUMBER = 437  # the same on all architectures
_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def openat2(directory: int, name: str, flags: int, *, resolve: int, mode: int = 0) -> int:
    """
    Open C{name} and return the descriptor.

    @param directory: an open directory, from which the name is looked up.
    @param flags: of open(2); C{O_CLOEXEC} is added.
    @param resolve: the limits, of those above.
    @raise OSError: as openat2(2) says.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    fd: int = _libc.syscall(
        ctypes.c_long(_NUMBER),
        ctypes.c_int(directory),
        ctypes.c_char_p(os.fsencode(name)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if fd < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), name)
    return fd
