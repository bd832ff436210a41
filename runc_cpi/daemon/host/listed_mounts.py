"""
What is mounted, asked of the kernel by numbers (listmount(2), statmount(2); Linux 6.8).

To print mountinfo takes the kernel 3 microseconds a mount, and to list a number next to
nothing.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import suppress

from runc_cpi.daemon.host.disks.mountinfo import Place
from runc_cpi.daemon.host.libc import check, libc

# The numbers of these system calls are the same on all architectures.
_STATMOUNT, _LISTMOUNT = 457, 458
# linux/mount.h: mnt_id_req has size, namespace, mount and parameter; of statmount come
# first size, options, mask; then, from 56 on, the numbers that mountinfo has, and where the
# type and the mount point begin in the texts, which begin at 512.
_REQUEST = struct.Struct("=IIQQ")
_NUMBERS, _NUMBERS_AT = struct.Struct("=2I"), 56
_TEXT, _TYPE_AT, _POINT_AT = struct.Struct("=I"), 36, 108
_TEXTS_AT = 512
_ROOT = (1 << 64) - 1  # LSMT_ROOT
_BASIC, _WITH_POINT, _WITH_TYPE = 0x02, 0x10, 0x20  # STATMOUNT_*
MOST = 1024  # numbers that are asked for at once
_ROOM = _TEXTS_AT + 4096 * 2  # bytes: a path, with room for what is escaped


def numbers() -> Iterator[int]:
    """
    Return the numbers of all mounts that this thread sees, which are used but once.

    @raise OSError: if the kernel refuses; C{ENOSYS} if it is too old.
    """
    found, last = (ctypes.c_uint64 * MOST)(), 0
    while True:
        request = _REQUEST.pack(_REQUEST.size, 0, _ROOT, last)
        count = check(libc.syscall(_LISTMOUNT, request, found, MOST, 0), "listmount")
        yield from found[:count]
        if count < MOST:
            return
        last = found[count - 1]


def place_of(number: int) -> Place | None:
    """
    Return where a mount is, or L{None} if it is gone.

    @param number: as L{numbers} has it.
    @raise OSError: if the kernel refuses for another reason.
    """
    wanted = _BASIC | _WITH_POINT | _WITH_TYPE
    request = _REQUEST.pack(_REQUEST.size, 0, number, wanted)
    told = ctypes.create_string_buffer(_ROOM)
    with suppress(FileNotFoundError):
        check(libc.syscall(_STATMOUNT, request, told, _ROOM, 0), "statmount")
        own, parent = _NUMBERS.unpack_from(told, _NUMBERS_AT)
        texts = told.raw
        return Place(own, parent, _text(texts, _POINT_AT), _text(texts, _TYPE_AT))
    return None


def _text(told: bytes, at: int) -> str:
    """Return the text whose beginning is told C{at} a place."""
    begin = _TEXTS_AT + _TEXT.unpack_from(told, at)[0]
    return os.fsdecode(told[begin : told.index(b"\0", begin)])
