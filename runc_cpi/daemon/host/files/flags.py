"""
Clears the flags that keep files from being changed or removed, even by root (chattr(1)).

L{program} is the command line of a program that does so in whole trees.
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
from runc_cpi.daemon.storage.descent import Entered, walk

# ioctl(2) numbers and flags, from linux/fs.h; the kernel takes and gives an int.
GET_FLAGS, SET_FLAGS = 0x80086601, 0x40086602
IMMUTABLE, APPEND_ONLY = 0x10, 0x20
_TO_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_IMPORTED_FROM = Path(runc_cpi.__file__).resolve().parents[1]
_PROGRAM = f"""
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from {__name__} import clear_tree
clear_tree(Path(sys.argv[2]))
"""


def program(tree: Path) -> Sequence[str]:
    """Return the command line that runs L{clear_tree}."""
    # Isolated, it searches neither its working directory nor its environment for modules.
    return [sys.executable, "-I", "-S", "-c", _PROGRAM, str(_IMPORTED_FROM), str(tree)]


def clear(fd: int) -> None:
    """
    Clear the flags of a file or a directory: immutable, append only.

    @param fd: an open descriptor of it.
    @raise OSError: if its file system knows no flags, or keeps them.
    """
    flags = bytearray(struct.calcsize("l"))
    fcntl.ioctl(fd, GET_FLAGS, flags)
    (found,) = struct.unpack_from("i", flags)
    if found & (IMMUTABLE | APPEND_ONLY):
        struct.pack_into("i", flags, 0, found & ~(IMMUTABLE | APPEND_ONLY))
        fcntl.ioctl(fd, SET_FLAGS, bytes(flags))


def clear_file(path: Path) -> None:
    """
    Clear the flags of the regular file C{path}.

    @raise OSError: if it is no regular file, or as L{clear} says.
    """
    _clear_at(str(path), None)


def _clear_at(name: str, directory: int | None) -> None:
    """Clear the flags of a regular file; to open anything else could act, or wait."""
    place = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise OSError(errno.EINVAL, "is no regular file", name)
        fd = os.open(f"/proc/self/fd/{place}", _TO_READ)
        try:
            clear(fd)
        finally:
            os.close(fd)
    finally:
        os.close(place)


def clear_tree(tree: Path) -> None:
    """
    Clear the flags of all regular files and directories in a tree.

    Errors are passed over: whoever removes the tree then finds what keeps its flags.
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
