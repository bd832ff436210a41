"""How a VM ended, told from the wait status of its first process."""

from __future__ import annotations

import signal

import pytest

from runc_cpi.daemon.vms.end import End

NOW = "2026-01-31T12:00:00+00:00"
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
    end = End.of(NOW, status)
    assert end.is_failure is failed
    assert str(end) == told
    assert End.from_json(end.to_json()) == end
    assert end.describe() == {**end.to_json(), "how": told}
