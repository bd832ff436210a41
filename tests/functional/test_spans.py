"""The steps of a call in the log: they are where its time goes."""

from __future__ import annotations

from pathlib import Path

from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.harness.spans import LOGGED, names_in, spans_of

# Steps of create_vm that come one after the other.
STEPS = ["lock", "files", "runc create", "interface", "start"]


def test_spans_of_calls(new_daemon: NewDaemon, tiny: Path) -> None:
    """Each call that changes something tells its steps, in their order."""
    daemon = new_daemon(config=LOGGED).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    request = daemon.cpi.last_request_id
    disk = daemon.cpi.ok("create_disk", 64, {}, vm.cid)
    daemon.cpi.ok("attach_disk", vm.cid, disk)
    daemon.cpi.ok("detach_disk", vm.cid, disk)
    daemon.cpi.ok("delete_vm", vm.cid)
    (made,) = spans_of(daemon, "create_vm")
    assert made["request_id"] == request
    names = names_in(made)
    assert "record" in names
    assert [names.index(name) for name in STEPS] == sorted(map(names.index, STEPS)), made
    ends = [span["start"] + span["ms"] for span in made["spans"]]
    assert 0 < max(ends) <= made["ms"], made
    expected = {
        "create_stemcell": "unpack",
        "create_disk": "file system",
        "attach_disk": "node",
        "detach_disk": "unmount",
        "delete_vm": "kill",
    }
    for method, name in expected.items():
        (line,) = spans_of(daemon, method)
        assert name in names_in(line)


def test_no_spans_unless_configured(daemon: Daemon, tiny: Path) -> None:
    """The log says nothing of steps by default."""
    daemon.create_stemcell(tiny)
    assert "create_stemcell done" in daemon.log
    assert "spans" not in daemon.log
