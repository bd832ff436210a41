"""What C{runc-cpictl vms} makes of what the daemon measures."""

from __future__ import annotations

from typing import Any

import pytest

from runc_cpi.ctl import vm as one_vm
from runc_cpi.ctl import vms
from runc_cpi.ctl.ports import leases_of
from runc_cpi.ctl.tables import Thing
from tests.fakes.vms import USAGE
from tests.unit.ctl.invoking import Tool

HOSTILE = "\x1b]52;c;eA==\x07"


def vm(cid: str, **changes: Any) -> dict[str, Any]:
    """Return a VM as the daemon tells of it."""
    return {
        "vm_cid": cid,
        "agent_id": f"agent of {cid}",
        "stemcell_cid": "stemcell-1",
        "addresses": ["10.0.0.2"],
        "running": True,
        "oom_kills": 0,
        "created_at": "2026-01-01T00:00:00+00:00",
        "metadata": {},
        "ports": [],
        "vips": [],
        **changes,
    }


class Asked:
    """Stands for the daemon: each question for what VMs use gets the next answer."""

    def __init__(self, listed: list[dict[str, Any]], *usages: dict[str, Any]) -> None:
        self._listed, self._usages = listed, list(usages)

    def ask_for(self, command: str, *keys: str) -> list[Any]:
        """Return what was set."""
        return [self._listed if command == "ListVMs" else self._usages.pop(0)]


def measured(monkeypatch: pytest.MonkeyPatch, asked: Asked, sort: str) -> list[Any]:
    """Return VMs that are asked for half a second after the tool began."""
    moments = iter([10.0, 10.5])
    monkeypatch.setattr("time.monotonic", lambda: next(moments))
    operator: Any = asked
    return vms.Measuring(operator, sort).ask()


def test_processors_and_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """How busy processors are is told of the last moment; the most comes first."""
    before, after = USAGE.to_json(), {**USAGE.to_json(), "cpu_seconds": 2.25}
    listed = [vm("vm-1"), vm("vm-2", running=False), vm("vm-3"), vm("vm-4")]
    first = {"vm-1": before, "vm-3": before}
    second = {"vm-1": before, "vm-3": after, "vm-4": after}
    found = measured(monkeypatch, Asked(listed, first, second), "cpu")
    assert [(each["vm_cid"], (each["usage"] or {}).get("cpu")) for each in found] == [
        ("vm-3", 1.5),
        ("vm-1", 0.0),
        ("vm-2", None),
        ("vm-4", None),
    ]


def test_a_vm_that_was_booted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the time of processors has begun anew it is not known how busy they are."""
    before, after = USAGE.to_json(), {**USAGE.to_json(), "cpu_seconds": 0.1}
    asked = Asked([vm("vm-1")], {"vm-1": before}, {"vm-1": after})
    (found,) = measured(monkeypatch, asked, "memory")
    assert found["usage"]["cpu"] is None


@pytest.mark.parametrize(
    ("metadata", "instance"),
    [
        ({}, "agent of vm-1"),
        ({"job": "db", "index": 0}, "db/0"),
        ({"job": "db", "index": 0, "name": "db/uuid"}, "db/uuid"),
        ({"job": "db"}, "agent of vm-1"),
    ],
    ids=["none", "job", "name", "half"],
)
def test_instances(metadata: dict[str, Any], instance: str) -> None:
    """A VM is called what BOSH calls it."""
    assert vms.instance_of(vm("vm-1", metadata=metadata)) == instance


def test_a_short_name() -> None:
    """In a table the first digits of an UUID are enough."""
    uuid = "5b1a0c9d-1111-2222-3333-444455556666"
    assert vms.short(f"db/{uuid}") == "db/5b1a0c9d"
    assert vms.short("db/0") == "db/0"
    row = vms.LISTING.row(vm("vm-1", metadata={"name": f"db/{uuid}"}))
    assert row[3] == "db/5b1a0c9d"


def test_ports() -> None:
    """A port of the host is shown with where it leads to."""
    port = {"protocol": "udp", "address": None, "first": 53, "last": 53, "container": 5353}
    assert vms.port_of(port) == "53->5353/udp"
    several = {**port, "address": "192.0.2.1", "last": 60}
    assert vms.port_of(several) == "192.0.2.1:53-60->5353/udp"


def test_facts() -> None:
    """All that is known of a VM is told, and nothing of what is not there."""
    thing = vm("vm-1", disk_cids=[], usage={**USAGE.to_json(), "cpu": 0.5, "cpu_limit": 2})
    told = one_vm.facts(thing)
    assert told["cpu"] == "50% of 200%, 2 s in all"
    assert told["memory"] == "8 MiB of 32 MiB"
    assert "disks" not in told
    down = one_vm.facts({**thing, "usage": None, "metadata": {"name": HOSTILE}})
    assert "memory" not in down
    assert down["metadata name"] == HOSTILE


def test_what_a_host_does_not_count() -> None:
    """What is not known is a dash, and no nought."""
    nothing: dict[str, Any] = dict.fromkeys(USAGE.to_json())
    told = one_vm.facts(vm("vm-1", disk_cids=[], usage={**nothing, "cpu": None}))
    assert (told["cpu"], told["memory"], told["processes"]) == ("-", "-", "-")
    assert told["read, written"] == "-, -"


def test_unknown_processor_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the time of processors is not counted, it is not known how busy they are."""
    usage = {**USAGE.to_json(), "cpu_seconds": None}
    (found,) = measured(monkeypatch, Asked([vm("vm-1")], *[{"vm-1": usage}] * 2), "cpu")
    assert found["usage"]["cpu"] is None


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"state": "running"}, "running"),
        ({"state": "running", "oom_kills": 2}, "running, 2 OOM kills"),
        ({"state": "stopped"}, "stopped"),
        ({"state": "ended", "end": {"status": 3, "signal": None}}, "ended, status 3"),
        ({"state": "ended", "end": {"status": None, "signal": 9}}, "ended, by signal 9"),
        ({"state": "ended", "end": {"status": None, "signal": None}}, "ended"),
        ({"state": "restarting"}, "ended, is booted again"),
        # An older daemon said so of what is booted again.
        ({"state": "ended"}, "ended, is booted again"),
        ({"state": "set_aside"}, "set aside, its record cannot be read"),
        ({"state": "unbootable"}, "cannot be booted"),
        ({"state": "interrupted"}, "reboot was cut off"),
        ({"running": False}, "stopped"),
        ({}, "running"),
    ],
    ids=str,
)
def test_states(changes: dict[str, Any], state: str) -> None:
    """It is said how a VM is, also by a daemon that tells only whether it runs."""
    assert vms.state_of(vm("vm-1", **changes)) == state


def test_leases() -> None:
    """Addresses are told by network, with who has them."""
    networks: list[Thing] = [
        {"name": None, "cidr": "10.0.0.0/24", "addresses": {"10.0.0.2": "vm-1"}},
        {"name": "lan", "cidr": "10.1.0.0/24", "addresses": {"10.1.0.2": "vm-2"}},
    ]
    assert leases_of(networks, {"vm-1": "db/0"}) == [
        {
            "address": "10.0.0.2",
            "network": "10.0.0.0/24",
            "vm_cid": "vm-1",
            "instance": "db/0",
        },
        {"address": "10.1.0.2", "network": "lan", "vm_cid": "vm-2", "instance": None},
    ]


@pytest.mark.parametrize("options", [["--watch"], ["--watch=5", "--output=json"]], ids=str)
def test_watching_takes_a_terminal(tool: Tool, options: list[str]) -> None:
    """A table that is refreshed in place is nothing for a file."""
    assert "--watch: shows a table at a terminal" in tool.refusal("vms", *options)
