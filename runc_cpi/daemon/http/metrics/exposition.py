"""Values of metrics as text, in the format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from runc_cpi.daemon.http.metrics.catalogue import (
    COUNTER,
    GAUGE,
    HISTOGRAM,
    METRICS,
    Metric,
)
from runc_cpi.daemon.http.metrics.samples import Distribution, Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FAMILIES: dict[str, Any] = {
    COUNTER: CounterMetricFamily,
    GAUGE: GaugeMetricFamily,
    HISTOGRAM: HistogramMetricFamily,
}


class Collected(Collector):
    """
    What was gathered, as prometheus_client takes it.

    A metric without values is there as well, so that all can be found.
    """

    def __init__(self, values: Iterable[Sample | Distribution]) -> None:
        self._values = values

    def collect(self) -> Iterator[Family]:
        """Return all metrics with their values."""
        families = {metric: _family(metric) for metric in METRICS}
        for value in self._values:
            family = families[value.metric]
            if isinstance(value, Sample):
                family.add_metric(value.labels, value.value)
            else:
                family.add_metric(value.labels, _buckets(value), value.sum)
        yield from families.values()


def _family(metric: Metric) -> Any:
    return FAMILIES[metric.kind](metric.name, metric.meaning, labels=metric.labels)


def _buckets(value: Distribution) -> list[tuple[str, float]]:
    bounds = [*(repr(bound) for bound in value.bounds), "+Inf"]
    return list(zip(bounds, map(float, value.counts), strict=True))


def text_of(values: Iterable[Sample | Distribution]) -> bytes:
    """Return all metrics, and those of the daemon's process, as text; this takes long."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collected(values))
    ProcessCollector(namespace="runc_cpi", registry=registry)
    return generate_latest(registry)
