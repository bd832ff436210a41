"""How a VM ended, told from the wait status of its first process."""

from __future__ import annotations

import signal

import pytest

from runc_cpi.daemon.vms.watcher import describe, is_failure

KILLED, HALTED = int(signal.SIGKILL), int(signal.SIGINT)
EXITED_0, EXITED_3 = 0, 3 << 8


@pytest.mark.parametrize(
    ("status", "failed", "told"),
    [
        (EXITED_0, False, "ended with status 0"),
        (EXITED_3, True, "ended with status 3"),
        (HALTED, False, "was ended by signal 2"),
        (KILLED, True, "was ended by signal 9"),
        (None, True, "ended, it is not known how"),
    ],
)
def test_ends(status: int | None, failed: bool, told: str) -> None:
    """A halt from within is no failure; an end that is not known to be one is."""
    assert is_failure(status) is failed
    assert describe(status) == told
