"""The docs, the dashboard and the alert rules name metrics and labels that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from runc_cpi.daemon.http.metrics.catalogue import HISTOGRAM, METRICS
from runc_cpi.daemon.http.metrics.exposition import text_of
from runc_cpi.daemon.http.metrics.reference import COMMAND, table, updated

PROJECT = Path(__file__).parents[3]
OPERATIONS = PROJECT / "operations"
DASHBOARD = json.loads((OPERATIONS / "grafana/runc-cpi.json").read_text("utf-8"))
ALERTS = yaml.safe_load((OPERATIONS / "prometheus/alerts.yml").read_text("utf-8"))
RULES: list[dict[str, Any]] = [
    rule for group in ALERTS["groups"] for rule in group["rules"]
]
# What Prometheus adds: its own labels, and ours where both have the name.
OWN_LABELS = {"instance", "job", "le", "exported_instance"}
# A metric with what stands in braces behind it, if anything does.
USE = re.compile(r"\b(runc_cpi_[a-z_]+|up)\b(?:\{([^}]*)\})?")
GROUPING = re.compile(r"\bby \(([^)]*)\)")


def labels_of_names() -> dict[str, set[str]]:
    """Return the labels of each metric, by the names that its samples have."""
    known = {"up": set[str]()}
    for family in text_string_to_metric_families(text_of([]).decode()):
        known[family.name] = set()  # of the daemon's process
        known[f"{family.name}_total"] = set()
    for metric in METRICS:
        suffixes = ("_bucket", "_sum", "_count") if metric.kind == HISTOGRAM else ("",)
        for suffix in suffixes:
            known[metric.name + suffix] = set(metric.labels)
    return known


KNOWN = labels_of_names()


def expressions(value: Any) -> Iterator[str]:
    """Return all queries in a dashboard, or in a part of one."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("expr", "definition"):
                yield item
            else:
                yield from expressions(item)
    elif isinstance(value, list):
        for item in value:
            yield from expressions(item)


QUERIES = sorted({*expressions(DASHBOARD), *(rule["expr"] for rule in RULES)})


@pytest.mark.parametrize("query", QUERIES)
def test_queries(query: str) -> None:
    """A query names metrics that there are, with labels that these have."""
    uses = USE.findall(query)
    assert uses, query
    labels = set().union(*(KNOWN[name] for name, _ in uses)) | OWN_LABELS
    for name, selectors in uses:
        for selector in re.findall(r"([a-z_]+)\s*(?:=~|!=|=|!~)", selectors):
            assert selector in KNOWN[name] | OWN_LABELS, (name, selector)
    for group in GROUPING.findall(query):
        assert {label.strip() for label in group.split(",")} <= labels, query
    for open_, close in ("()", "{}", "[]"):
        assert query.count(open_) == query.count(close), query


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_alerts(rule: dict[str, Any]) -> None:
    """A rule has a severity, and says by labels that its metrics have what is wrong."""
    assert rule["labels"]["severity"] in ("warning", "critical")
    names = [name for name, _ in USE.findall(rule["expr"])]
    labels = set().union(*(KNOWN[name] for name in names)) | OWN_LABELS
    if grouping := GROUPING.search(rule["expr"]):
        labels = {label.strip() for label in grouping[1].split(",")}
    told = f"{rule['annotations']['summary']} {rule['annotations']['description']}"
    assert set(re.findall(r"\$labels\.([a-z_]+)", told)) <= labels
    assert len({other["alert"] for other in RULES}) == len(RULES)


def test_legends() -> None:
    """The dashboard's legends are made of labels that the queries leave."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            names = [name for name, _ in USE.findall(target["expr"])]
            labels = set().union(*(KNOWN[name] for name in names)) | OWN_LABELS
            if grouping := GROUPING.search(target["expr"]):
                labels = {label.strip() for label in grouping[1].split(",")}
            legend = set(re.findall(r"\{\{([a-z_]+)\}\}", target["legendFormat"]))
            assert legend <= labels, (panel["title"], legend - labels)


def test_panels() -> None:
    """Panels have numbers of their own, and none is upon another."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for place in (panel["gridPos"] for panel in panels):
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert x < 24
                assert (x, y) not in taken
                taken.add((x, y))


def test_every_metric_of_a_vm_is_shown() -> None:
    """What is measured of VMs is on the dashboard, but limits of processors."""
    shown = {name for query in QUERIES for name, _ in USE.findall(query)}
    of_vms = {metric.name for metric in METRICS if "vm_cid" in metric.labels}
    assert of_vms - shown == {"runc_cpi_vm_cpu_limit"}


def test_the_document_is_up_to_date() -> None:
    """The table of metrics is what the catalogue says."""
    text = (PROJECT / "docs/operations.md").read_text("utf-8")
    assert table() in text
    assert updated(text) == text, f"docs/operations.md is out of date; run: {COMMAND}"
