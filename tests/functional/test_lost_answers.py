"""A create_vm whose answer is lost with the daemon is made again, as the director does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.harness import steps
from tests.harness.daemon import Daemon, manual, vm_arguments
from tests.harness.lab import NewDaemon

# For tests of networks (RFC 2544).
VIP = "198.19.0.9"
CREATION_FAILED = "Bosh::Clouds::VMCreationFailed"


@pytest.fixture
def mortal(new_daemon: NewDaemon) -> Daemon:
    """A daemon that can be made to die at a step."""
    daemon = new_daemon()
    daemon.launcher = steps.LAUNCHER
    daemon.config["vip_addresses"] = [VIP]
    daemon.write_config()
    return daemon.start()


def lose_answer(daemon: Daemon, arguments: list[Any]) -> str:
    """Have the daemon die after a VM's record and before its answer; name the VM."""
    (daemon.home / steps.NOTES).write_text("")
    (daemon.home / steps.ARM).write_text("answer")
    error = daemon.cpi.error("create_vm", *arguments)
    assert (error["type"], error["ok_to_retry"]) == (CREATION_FAILED, True)
    assert "before it answered" in error["message"]
    daemon.recover()
    (vm_cid,) = daemon.vm_cids()
    assert daemon.cpi.ok("has_vm", vm_cid) is True
    return vm_cid


@pytest.mark.parametrize("wanted", ["an address", "a port", "a vip"])
def test_the_same_call_again(mortal: Daemon, tiny: Path, wanted: str) -> None:
    """The VM that nobody was told of makes way for the one of the next call."""
    stemcell = mortal.create_stemcell(tiny)
    networks = {
        "an address": {"n": manual(f"{mortal.network}9")},
        "a vip": {"n": {"type": "dynamic"}, "v": {"type": "vip", "ip": VIP}},
    }.get(wanted)
    ports = {"ports": [f"{mortal.port}:80"]} if wanted == "a port" else None
    arguments = vm_arguments(stemcell, networks, "agent-lost", ports)
    lost = lose_answer(mortal, arguments)
    vm = mortal.vm(mortal.cpi.ok("create_vm", *arguments))
    assert mortal.vm_cids() == [vm.cid] != [lost]
    assert f"{lost} makes way for a new VM for agent-lost" in mortal.log
    assert vm.is_alive()


def test_who_stays(daemon: Daemon, tiny: Path) -> None:
    """A VM of another agent, and one that somebody knows, keeps its address."""
    stemcell = daemon.create_stemcell(tiny)
    networks = {"n": manual(f"{daemon.network}9")}
    vm = daemon.create_vm(stemcell, networks, agent_id="agent-a")

    def refused(agent_id: str) -> None:
        arguments = vm_arguments(stemcell, networks, agent_id)
        error = daemon.cpi.error("create_vm", *arguments)
        assert f"is in use by {vm.cid}" in error["message"]
        assert error["ok_to_retry"] is False
        assert vm.is_alive()

    refused("agent-b")
    disk_cid = daemon.cpi.ok("create_disk", 16, {})
    daemon.cpi.ok("attach_disk", vm.cid, disk_cid)
    refused("agent-a")
    daemon.cpi.ok("detach_disk", vm.cid, disk_cid)
    daemon.cpi.ok("delete_disk", disk_cid)
    daemon.cpi.ok("set_vm_metadata", vm.cid, {"deployment": "d"})
    refused("agent-a")
