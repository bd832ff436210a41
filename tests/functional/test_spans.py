"""The steps of a call in the log: they are where its time goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon

COVERED = 0.9


def spans_of(daemon: Daemon, method: str) -> dict[str, Any]:
    """Return the line about the steps of the last call of a method."""
    lines = [json.loads(line) for line in daemon.log.splitlines()]
    return [line for line in lines if "spans" in line and line["method"] == method][-1]


def covered(line: dict[str, Any]) -> float:
    """Return which part of a call its steps cover together."""
    sum_, end = 0.0, 0.0
    for span in line["spans"]:
        last = span["start"] + span["ms"]
        sum_ += max(0.0, last - max(end, span["start"]))
        end = max(end, last)
    return sum_ / line["ms"]


def test_spans_of_calls(new_daemon: NewDaemon, tiny: Path) -> None:
    """Each call that changes something tells its steps, which take nearly all its time."""
    daemon = new_daemon(config={"log_format": "json", "log_spans": True}).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    request = daemon.cpi.last_request_id
    disk = daemon.cpi.ok("create_disk", 64, {}, vm.cid)
    daemon.cpi.ok("attach_disk", vm.cid, disk)
    daemon.cpi.ok("detach_disk", vm.cid, disk)
    daemon.cpi.ok("delete_vm", vm.cid)
    made = spans_of(daemon, "create_vm")
    assert made["request_id"] == request
    names = {span["name"] for span in made["spans"]}
    assert {"lock", "files", "runc create", "interface", "runc start", "record"} <= names
    assert covered(made) >= COVERED, made
    expected = {
        "create_stemcell": "unpack",
        "create_disk": "file system",
        "attach_disk": "node",
        "detach_disk": "unmount",
        "delete_vm": "kill",
    }
    for method, name in expected.items():
        assert name in {span["name"] for span in spans_of(daemon, method)["spans"]}


def test_no_spans_unless_configured(daemon: Daemon, tiny: Path) -> None:
    """The log says nothing of steps by default."""
    daemon.create_stemcell(tiny)
    assert "create_stemcell done" in daemon.log
    assert "spans" not in daemon.log
