"""That the benchmarks run; what they say is for people to read."""

from __future__ import annotations

from pathlib import Path

from tests.harness.lab import Lab, NewDaemon

from tests.benchmarks.measuring import layout
from tests.benchmarks.subjects import everything


def test_everything_is_measured(
    new_daemon: NewDaemon, images: dict[str, Path], lab: Lab
) -> None:
    """Each subject gives a time, and the report shows all of them."""
    rows = everything(new_daemon, images, 2, lab.home, large=False)
    report = layout(rows)
    print(report)
    assert all(row.milliseconds > 0 for row in rows)
    assert all(row.what in report for row in rows)
