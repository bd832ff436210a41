"""Whether something keeps the host's clock right (adjtimex(2))."""

from __future__ import annotations

import ctypes

from runc_cpi.daemon.host.libc import check, libc

_SIZE = 512  # bytes, more than struct timex has
_TIME_ERROR = 5  # sys/timex.h: the clock is not synchronized


def is_synchronized() -> bool:
    """
    Say whether the clock is synchronized.

    @raise OSError: if the kernel refuses to tell.
    """
    # With no mode set it is only read.
    asked = ctypes.create_string_buffer(_SIZE)
    return check(libc.adjtimex(asked), "adjtimex") != _TIME_ERROR
