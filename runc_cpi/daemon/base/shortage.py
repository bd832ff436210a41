"""Which failures of the host pass by themselves, so that the same call may succeed soon."""

from __future__ import annotations

import errno
import signal

from runc_cpi.daemon.base.outcome import Outcome
from runc_cpi.errors import CloudError, HostShort

# Memory, processes, descriptors, buffers and devices that others have, for the moment.
PASSING = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.EINTR,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.ETIMEDOUT,
    }
)
KILLED = (signal.SIGKILL, signal.SIGTERM)


def failed_call(number: int | None, text: str) -> CloudError:
    """
    Return the error for a system call that failed.

    @param number: its errno, if there is one.
    @param text: what failed.
    """
    return (HostShort if number in PASSING else CloudError)(text)


def failed_program(outcome: Outcome, text: str) -> CloudError:
    """
    Return the error for a program that failed.

    One that took too long may be quick later.  One that was killed was so by a kernel
    without memory, or by the end of the daemon.

    @param outcome: how it ended.
    @param text: what failed.
    """
    passes = outcome.timed_out or outcome.signal in KILLED
    return (HostShort if passes else CloudError)(text)
