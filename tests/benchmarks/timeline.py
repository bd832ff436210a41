"""Where the time of one create_vm goes: from the start of the CPI until it has ended."""

from __future__ import annotations

import json
from pathlib import Path
from time import time
from typing import Any

from tests.benchmarks.contenders import Ours
from tests.harness.lab import NewDaemon

CONFIG = {"log_format": "json", "log_spans": True}
BEFORE, WITHIN, AFTER = "the CPI starts", "the daemon's call", "the CPI ends"


def taken(new_daemon: NewDaemon, image: Path, rounds: int) -> dict[str, Any]:
    """
    Take the steps of create_vm on a daemon that logs them.

    @return: C{ms}, and C{spans} with C{name}, C{start} and C{ms}, of the round that took
        the median time.
    """
    ours = Ours(new_daemon(config=CONFIG).start(), image)
    # The first VM has more done for it than those after it.
    ours.create_vm()
    rows = sorted((_one(ours) for _ in range(rounds)), key=lambda row: float(row["ms"]))
    return rows[len(rows) // 2]


def _one(ours: Ours) -> dict[str, Any]:
    vm, begin = ours.vm(), time()
    vm_cid = ours.call("create_vm", *vm)[0]
    ms = (time() - begin) * 1000
    ours.call("delete_vm", vm_cid)
    ours.settle()
    (line,) = [line for line in _spans(ours) if vm_cid in line["message"]]
    start = (line["began"] - begin) * 1000
    end = start + line["ms"]
    around = [_span(BEFORE, 0, start), _span(WITHIN, start, line["ms"])]
    within = [_span(s["name"], start + s["start"], s["ms"]) for s in line["spans"]]
    return {"ms": ms, "spans": [*around, *within, _span(AFTER, end, ms - end)]}


def _spans(ours: Ours) -> list[dict[str, Any]]:
    lines = map(json.loads, ours.daemon.log.splitlines())
    return [line for line in lines if line.get("method") == "create_vm" and "spans" in line]


def _span(name: str, start: float, ms: float) -> dict[str, Any]:
    return {"name": name, "start": round(start, 3), "ms": round(ms, 3)}
