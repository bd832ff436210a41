"""Values of metrics at one moment, and those that are counted as things happen."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from runc_cpi.daemon.http.metrics.catalogue import Metric

Labels = tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """
    One value of a metric.

    @ivar labels: their values, in the order of their names.
    """

    metric: Metric
    labels: Labels
    value: float


@dataclass(frozen=True)
class Distribution:
    """
    One histogram of a metric.

    @ivar labels: their values, in the order of their names.
    @ivar bounds: up to which value each bucket is for, but the last, which has no bound.
    @ivar counts: how many values are in each bucket or in one before it.
    @ivar sum: of all values.
    """

    metric: Metric
    labels: Labels
    bounds: Sequence[float]
    counts: Sequence[int]
    sum: float


class Histogram:
    """
    Counts values by how large they are, for each set of labels.

    @param bounds: of the buckets, in ascending order.
    """

    def __init__(self, metric: Metric, bounds: Sequence[float]) -> None:
        self._metric, self._bounds = metric, tuple(bounds)
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Count a value."""
        if labels not in self._counts:
            self._counts[labels] = [0] * (len(self._bounds) + 1)
            self._sums[labels] = 0.0
        self._counts[labels][bisect_left(self._bounds, value)] += 1
        self._sums[labels] += value

    def read(self) -> Iterable[Distribution]:
        """Return what was counted."""
        for labels, counts in self._counts.items():
            summed = tuple(accumulate(counts))
            total = self._sums[labels]
            yield Distribution(self._metric, labels, self._bounds, summed, total)
