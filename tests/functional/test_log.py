"""The log: as text or as JSON, with the request's id in each line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.daemon import Daemon, vm_arguments
from tests.harness.lab import NewDaemon


def entries(daemon: Daemon) -> list[dict[str, Any]]:
    """Return all lines of a JSON log."""
    return [json.loads(line) for line in daemon.log.splitlines()]


def test_json_lines(new_daemon: NewDaemon, tiny: Path) -> None:
    """Each line is an object with a time, a level, a message and the request."""
    daemon = new_daemon(config={"log_format": "json"}).start()
    stemcell = daemon.create_stemcell(tiny)
    calls = {stemcell: daemon.cpi.last_request_id}
    vm = daemon.create_vm(stemcell)
    calls[vm.cid] = daemon.cpi.last_request_id
    daemon.cpi.error("reboot_vm", "vm-none\nforged")
    daemon.stop()
    for line in entries(daemon):
        assert {"time", "level", "message", "request_id"} <= set(line)
        assert line["level"] in ("info", "warn", "error", "critical")
    for cid, request in calls.items():
        (line,) = [line for line in entries(daemon) if f"created {cid}" in line["message"]]
        assert line["request_id"] == request
    daemon.start()


def test_each_line_shows_its_request(daemon: Daemon, tiny: Path) -> None:
    """Each line that a call causes has the call's id, also while other calls run."""
    stemcell = daemon.create_stemcell(tiny)
    vms = {}
    processes = {}
    for n in range(6):
        arguments = vm_arguments(stemcell, cloud_properties={f"odd{n}": 1})
        process = daemon.cpi.start("create_vm", *arguments)
        processes[daemon.cpi.last_request_id] = (n, process)
    for request, (n, process) in processes.items():
        vm = daemon.vm(daemon.cpi.finish(process)["result"])
        vms[request] = (n, vm)
    lines = daemon.log.splitlines()
    for request, (n, vm) in vms.items():
        of_request = [line for line in lines if f"[{request}]" in line]
        # The call begins before there is a VM.
        assert "create_vm begins: " in of_request[0]
        assert [line for line in lines if vm.cid in line] == of_request[1:]
        assert any(f"odd{n} " in line for line in of_request)
        assert any("created" in line for line in of_request)
    daemon.cpi.ok("reboot_vm", vm.cid)
    (line,) = [line for line in daemon.log.splitlines() if "rebooted" in line]
    assert f"[{daemon.cpi.last_request_id}]" in line


def test_refusals_are_logged(daemon: Daemon) -> None:
    """The log has each error that a caller gets."""
    error = daemon.cpi.error("reboot_vm", "vm-none")
    (line,) = [line for line in daemon.log.splitlines() if error["message"] in line]
    assert f"[{daemon.cpi.last_request_id}]" in line


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_nothing_can_be_forged(new_daemon: NewDaemon, log_format: str) -> None:
    """A line break in what a caller sends begins no line of the log."""
    daemon = new_daemon(config={"log_format": log_format}).start()
    daemon.cpi.error("reboot_vm", "x\n2020-01-01T00:00:00.000Z info forged\r\nagain")
    lines = daemon.log.splitlines()
    assert not [line for line in lines if line.startswith(("2020", "again"))]
    assert any("forged" in line for line in lines)


def test_secrets_are_not_logged(daemon: Daemon, tiny: Path) -> None:
    """Neither the environment of an agent nor its credentials are in the log."""
    env = {"bosh": {"password": "hunter2", "mbus": {"cert": {"private_key": "hunter3"}}}}
    vm = daemon.create_vm(daemon.create_stemcell(tiny), env=env)
    daemon.cpi.ok("reboot_vm", vm.cid)
    daemon.cpi.ok("delete_vm", vm.cid)
    assert "hunter" not in daemon.log
    assert "mbus:secret" not in daemon.log
