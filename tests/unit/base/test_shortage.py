"""Failures of the host that pass by themselves, and those that do not."""

from __future__ import annotations

import errno
import signal

import pytest

from runc_cpi.daemon.base.outcome import Outcome
from runc_cpi.daemon.base.shortage import failed_call, failed_program
from runc_cpi.errors import CloudError, HostShort


def ended(status: int | None, number: int | None = None, *, late: bool = False) -> Outcome:
    """Return how a program ended."""
    return Outcome(
        argv=("runc",), status=status, signal=number, timed_out=late, stdout=b"", stderr=b""
    )


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.EBUSY])
def test_what_others_have_for_the_moment(number: int) -> None:
    """What others give back soon is worth another try."""
    assert type(failed_call(number, "it")) is HostShort


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOENT, errno.EINVAL, None])
def test_what_is_refused(number: int | None) -> None:
    """What the kernel refuses will be refused again."""
    assert type(failed_call(number, "it")) is CloudError


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (ended(1), CloudError),
        (ended(None, signal.SIGSEGV), CloudError),
        (ended(None, signal.SIGKILL), HostShort),
        (ended(None, signal.SIGTERM), HostShort),
        (ended(None, signal.SIGKILL, late=True), HostShort),
    ],
)
def test_programs(outcome: Outcome, kind: type[CloudError]) -> None:
    """A program that was slow, or was killed, may succeed next time."""
    error = failed_program(outcome, "what failed")
    assert (type(error), str(error)) == (kind, "what failed")
