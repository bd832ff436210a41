"""Honest calls succeed while strangers flood the daemon, for a minute in each way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.benchmarks.encryption import encrypted
from tests.benchmarks.flood import FLOODS, SECONDS, flooded
from tests.harness.lab import Lab


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("kind", "addresses"), FLOODS)
def test_flood(report: Callable[[str], None], kind: str, addresses: int) -> None:
    """All honest calls in a flood succeed, and the log hardly grows."""
    lab = Lab()
    try:
        with lab.daemons() as new_daemon:
            outcome = flooded(encrypted(new_daemon), kind, addresses, SECONDS)
    finally:
        lab.close()
    report(f"{kind}, from {addresses} addresses: {outcome}")
    assert outcome.times
    assert outcome.failures == []
    assert outcome.lines < 200
