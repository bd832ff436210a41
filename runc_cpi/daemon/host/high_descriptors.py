"""Keeps low numbers of descriptors free, for libraries that know no others (select(2))."""

from __future__ import annotations

import errno
import fcntl
import os

# As many descriptors as select(2) can look at: FD_SETSIZE.  The library of nftables uses
# it, and the C library ends a program that goes beyond.
LOW = 1024


def raised(descriptor: int) -> int:
    """
    Give a descriptor a high number, if this process may have any.

    Those of which there are one or more for each VM have to have one.

    @param descriptor: it is closed, unless it is returned.
    @return: one that is closed at exec.
    @raise OSError: if the process has as many descriptors as it may.
    """
    try:
        high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, LOW)
    except OSError as error:
        if error.errno == errno.EINVAL:  # the limit is lower than that (RLIMIT_NOFILE)
            return descriptor
        os.close(descriptor)
        raise
    os.close(descriptor)
    return high
