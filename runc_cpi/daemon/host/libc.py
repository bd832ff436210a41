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
