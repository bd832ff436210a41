"""The status page of a real daemon with a real VM."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.harness.daemon import Daemon
from tests.harness.waiting import eventually

METADATA = {"director": "bosh", "deployment": "cf", "job": "db", "index": 0, "name": "db/0"}


def get(daemon: Daemon, path: str) -> bytes:
    """Return what is at a path."""
    with urlopen(f"http://{daemon.config['http']['address']}{path}", timeout=30) as answer:
        content: bytes = answer.read()
    return content


def told(daemon: Daemon, path: str) -> dict[str, Any]:
    """Return a document of the page."""
    found: dict[str, Any] = json.loads(get(daemon, path))
    return found


def test_what_is_told(new_daemon: Callable[..., Daemon], tiny: Path) -> None:
    """A VM is told with its place and what it uses, and so is all that the page shows."""
    daemon = new_daemon()
    daemon.config["http"] = {"address": f"127.0.0.1:{daemon.port + 10000}"}
    daemon.write_config()
    daemon.start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    daemon.cpi.ok("set_vm_metadata", vm.cid, METADATA)
    assert b"<!doctype html>" in get(daemon, "/")

    def is_told() -> bool:
        return [each["instance"] for each in told(daemon, "/api/status")["vms"]] == ["db/0"]

    # What was made for the last who asked is told for a second.
    eventually(is_told, "the VM is told")
    status = told(daemon, "/api/status")
    (shown,) = status["vms"]
    assert (shown["vm_cid"], shown["deployment"]) == (vm.cid, "cf")
    assert shown["state"] == "running"
    assert shown["usage"]["memory"] > 0
    assert shown["usage"]["cpu_seconds"] > 0
    assert {network["used"] for network in status["networks"]} == {1}
    assert {each["state"] for each in status["findings"]} <= {"ok", "warning", "fault"}
    assert len(status["findings"]) > 5
    assert status["host"]["free_room"] > 0
    events = told(daemon, "/api/events?deployment=cf")["events"]
    assert [event["method"] for event in events] == ["set_vm_metadata"]
    history = told(daemon, "/api/history")
    # The first sample was taken as the daemon started.
    assert len(history["ages"]) >= 1
    assert list(history["vms"]) == [vm.cid]
