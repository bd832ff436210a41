"""
Clears the flags that keep files from being changed and removed, even by root.

This is a program as well, for whole trees::

    python -m runc_cpi.daemon.host.files.flags TREE
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import runc_cpi
from runc_cpi.daemon.host.files.levels import Entered, walk

# ioctl(2) numbers and flags, from linux/fs.h; the kernel takes and gives an int.
GET_FLAGS, SET_FLAGS = 0x80086601, 0x40086602
IMMUTABLE, APPEND_ONLY = 0x10, 0x20
_TO_LOOK = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_IMPORTED_FROM = Path(runc_cpi.__file__).resolve().parents[1]


def program(tree: Path) -> Sequence[str]:
    """Return the command line that runs L{clear_tree}."""
    python = [sys.executable, "-P", "-S", "-m", __name__]
    return ["env", f"PYTHONPATH={_IMPORTED_FROM}", *python, str(tree)]


def clear(fd: int) -> None:
    """
    Let a file or a directory be changed and removed.

    @param fd: a descriptor that it is open on.
    @raise OSError: if its file system knows no flags, or does not let go of them.
    """
    flags = bytearray(struct.calcsize("l"))
    fcntl.ioctl(fd, GET_FLAGS, flags)
    (found,) = struct.unpack_from("i", flags)
    if found & (IMMUTABLE | APPEND_ONLY):
        struct.pack_into("i", flags, 0, found & ~(IMMUTABLE | APPEND_ONLY))
        fcntl.ioctl(fd, SET_FLAGS, bytes(flags))


def clear_file(path: Path) -> None:
    """
    Let the regular file C{path} be changed and removed.

    @raise OSError: as L{clear} says.
    """
    _clear_at(str(path), None)


def _clear_at(name: str, directory: int | None) -> None:
    """Clear the flags of a regular file; nothing else is opened, for that can act."""
    place = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise OSError(errno.EINVAL, "is no regular file", name)
        fd = os.open(f"/proc/self/fd/{place}", _TO_LOOK)
        try:
            clear(fd)
        finally:
            os.close(fd)
    finally:
        os.close(place)


def clear_tree(tree: Path) -> None:
    """
    Let all regular files and directories of a tree be changed and removed.

    What does not let go of its flags is passed over: whoever removes the tree finds it.
    """
    for step in walk(tree):
        if isinstance(step, Entered):
            with suppress(OSError):
                clear(step.fd)
            _clear_files(step.fd)


def _clear_files(directory: int) -> None:
    with os.scandir(directory) as entries:
        names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    for name in names:
        with suppress(OSError):
            _clear_at(name, directory)


if __name__ == "__main__":
    clear_tree(Path(sys.argv[1]))
