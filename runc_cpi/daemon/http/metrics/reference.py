"""
The table of all metrics as Markdown, made from the catalogue.

C{python -m runc_cpi.daemon.http.metrics.reference docs/operations.md} writes it into that
file, between two comments.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from runc_cpi.daemon.http.metrics.catalogue import METRICS, Metric

COMMAND = "python -m runc_cpi.daemon.http.metrics.reference docs/operations.md"
TABLE = re.compile(r"(<!-- metrics -->\n).*?(<!-- end of metrics -->)", re.DOTALL)


def table() -> str:
    """Return a table with a row for each metric."""
    rows = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    rows += [_row(metric) for metric in METRICS]
    return "\n".join(rows) + "\n"


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |"


def updated(text: str) -> str:
    """Return a document with its table as the metrics are now."""
    return TABLE.sub(lambda found: found[1] + table() + found[2], text)


def main() -> None:
    """Bring the file up to date that the command line names."""
    path = Path(sys.argv[1])
    path.write_text(updated(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
