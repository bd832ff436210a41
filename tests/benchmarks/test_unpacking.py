"""The benchmark of unpacking runs; people judge its results."""

from __future__ import annotations

from tests.benchmarks.unpacking import unpacking
from tests.harness import images


def test_unpacking_is_measured() -> None:
    """Each way has a time, for a new image and for the same again."""
    rows = list(unpacking(images.bootable("runit"), 1, 256 << 20, large=False))
    assert len(rows) == 7
    assert all(row.milliseconds > 0 for row in rows)
