"""Numbers, as the tool prints them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from runc_cpi.ctl import units

NOW = datetime(2026, 1, 10, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1010 * 1024, "1010 KiB"),
        (64 << 20, "64 MiB"),
        (5 << 40, "5 TiB"),
        (5000 << 40, "5000 TiB"),
    ],
)
def test_sizes(count: int | None, shown: str) -> None:
    """Bytes are shown with three digits, or four where that is shorter."""
    assert units.size(count) == shown


def test_parts() -> None:
    """A part is shown with the whole, if there is one."""
    assert units.of(1024, 2048) == "1 KiB of 2 KiB"
    assert units.of(1024, None) == "1 KiB"
    assert units.of(None, 5) == "-"
    assert units.percent(1.234) == "123%"
    assert units.percent(None) == "-"


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        ("2026-01-10T00:00:00+00:00", "0 s"),
        ("2026-01-10T00:00:05+00:00", "0 s"),
        ("2026-01-09T23:58:30Z", "90 s"),
        ("2026-01-09T23:30:00+00:00", "30 min"),
        ("2026-01-09T00:00:00+00:00", "24 h"),
        ("2026-01-01T00:00:00+00:00", "9 d"),
        ("yesterday", "-"),
        ("2026-01-09T00:00:00", "-"),
    ],
)
def test_ages(made: str, shown: str) -> None:
    """An age has one unit; what is no time has none."""
    assert units.age(made, NOW) == shown
