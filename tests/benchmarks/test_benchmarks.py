"""The benchmarks run; people judge their results."""

from __future__ import annotations

from tests.benchmarks.measuring import layout
from tests.benchmarks.subjects import everything
from tests.harness import images
from tests.harness.lab import Lab


def test_everything_is_measured() -> None:
    """Each subject has a time, and the report shows all of them."""
    lab = Lab()
    made = {kind: images.bootable(kind) for kind in images.KINDS}
    try:
        with lab.daemons() as new_daemon:
            rows = everything(new_daemon, made, 2, lab.home, large=False)
    finally:
        lab.close()
    report = layout(rows)
    print(report)
    assert all(row.milliseconds > 0 for row in rows)
    assert all(row.what in report for row in rows)
