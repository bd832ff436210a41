"""System calls that Python has no function for, by the C library."""

from __future__ import annotations

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> int:
    """
    Return what a function of L{libc} returned.

    @param what: names what it was to act upon, or the function, for the error.
    @raise OSError: if the function failed, which it tells by a negative number.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def sync_file_system(directory: int) -> None:
    """
    Sync the file system of a directory (syncfs(2)); this blocks.

    @param directory: a descriptor of it.
    @raise OSError: if that fails, or did since the directory was opened.
    """
    check(libc.syncfs(directory), "syncfs")
