"""The tool's C{delete} deletes what BOSH forgot, and refuses what BOSH uses."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.harness.daemon import Daemon
from tests.harness.lab import Lab
from tests.harness.waiting import eventually

CONTROL = Path(sys.executable).with_name("runc-cpictl")
PATIENCE = 60
QUESTION = "Delete? [y/N] "
BOSH = {"director": "runc", "deployment": "cf", "job": "api", "index": "0"}


@pytest.fixture(scope="module")
def daemon(lab: Lab) -> Iterator[Daemon]:
    """A daemon for all of these tests."""
    with lab.daemons() as new_daemon:
        yield new_daemon().start()


@pytest.fixture(scope="module")
def stemcell(daemon: Daemon, tiny: Path) -> str:
    """A stemcell for all VMs."""
    return daemon.create_stemcell(tiny)


@pytest.fixture(autouse=True)
def leaves_nothing() -> None:
    """Check for leftovers when the daemon is stopped, not after each test."""


def control(
    daemon: Daemon, *arguments: str, stdin: int = subprocess.DEVNULL
) -> subprocess.CompletedProcess[str]:
    """Run C{runc-cpictl}."""
    return subprocess.run(
        [CONTROL, "--config", daemon.config_file, *arguments],
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def answering(
    daemon: Daemon, answer: bytes, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run C{runc-cpictl} at a terminal where somebody types an answer."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        return control(daemon, *arguments, stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)


def refused(outcome: subprocess.CompletedProcess[str]) -> str:
    """Check that the tool ended with one line after its list, and return that line."""
    assert outcome.returncode == 1, outcome
    assert outcome.stdout == ""
    line = outcome.stderr.splitlines()[-1].removeprefix(QUESTION)
    assert line.startswith("runc-cpictl: ")
    assert "Traceback" not in outcome.stderr
    return line


def gone(outcome: subprocess.CompletedProcess[str], *cids: str) -> None:
    """Check that these are deleted, and that the tool says so."""
    assert outcome.returncode == 0, outcome
    assert outcome.stdout.split() == [word for cid in cids for word in ("deleted", cid)]


def test_a_vm(daemon: Daemon, stemcell: str) -> None:
    """The tool asks before it deletes a VM, and refuses one with metadata of BOSH."""
    vm = daemon.create_vm(stemcell)
    assert "give --yes" in refused(control(daemon, "vm", "delete", vm.cid))
    for answer in (b"\n", b"n\n", b"x\n", b"\x04"):
        outcome = answering(daemon, answer, "vm", "delete", vm.cid)
        assert refused(outcome) == "runc-cpictl: nothing is deleted"
        assert f"vm {vm.cid}, running, {daemon.network}" in outcome.stderr
    daemon.cpi.ok("set_vm_metadata", vm.cid, BOSH)
    line = refused(control(daemon, "vm", "delete", "--yes", vm.cid))
    assert "deployment cf" in line
    assert "--force" in line
    assert vm.is_alive()
    daemon.cpi.ok("set_vm_metadata", vm.cid, {"name": "\x1b]52;c;x\x07"})
    outcome = answering(daemon, b"y\n", "vm", "delete", vm.cid)
    gone(outcome, vm.cid)
    assert "\x1b" not in outcome.stderr
    assert daemon.cpi.ok("has_vm", vm.cid) is False


def test_all_or_nothing(daemon: Daemon, stemcell: str) -> None:
    """If one of several cids is unknown or in use, none is deleted."""
    first, second = (daemon.create_vm(stemcell, agent_id=name) for name in ("a", "b"))
    unknown = "vm-01234567-89ab-cdef-0123-456789abcdef"
    line = refused(control(daemon, "vm", "delete", "--yes", first.cid, unknown))
    assert line == f"runc-cpictl: there is no vm {unknown}; runc-cpictl vms lists them"
    assert "no vm" in refused(control(daemon, "vm", "delete", "--yes", "../../etc"))
    daemon.cpi.ok("set_vm_metadata", second.cid, BOSH)
    refused(control(daemon, "vm", "delete", "--yes", first.cid, second.cid))
    assert first.is_alive()
    both = (first.cid, second.cid, first.cid)
    gone(control(daemon, "vm", "delete", "--yes", "--force", *both), *both[:2])
    assert not {first.cid, second.cid} & set(daemon.vm_cids())


def test_ctrl_c_is_no(daemon: Daemon, tmp_path: Path) -> None:
    """Ctrl-C at the question ends the tool at once, and nothing is deleted."""
    disk: str = daemon.cpi.ok("create_disk", 16, {})
    ours, theirs = pty.openpty()
    said = tmp_path / "said"
    with said.open("wb") as stderr:
        process = subprocess.Popen(
            [CONTROL, "--config", daemon.config_file, "disk", "delete", disk],
            stdin=theirs,
            stderr=stderr,
            # Tests in the background ignore it, and so would what they start.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
    try:
        eventually(lambda: QUESTION in said.read_text(), "it asks", PATIENCE)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 1
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
    assert said.read_text().endswith("\nrunc-cpictl: nothing is deleted\n")
    daemon.cpi.ok("delete_disk", disk)


def test_a_disk(daemon: Daemon, stemcell: str) -> None:
    """A disk that is attached, or that has a snapshot, is in use."""
    disk: str = daemon.cpi.ok("create_disk", 16, {})
    vm = daemon.create_vm(stemcell)
    daemon.cpi.ok("attach_disk", vm.cid, disk)
    assert f"attached to {vm.cid}" in refused(control(daemon, "disk", "delete", "-y", disk))
    snapshot: str = daemon.cpi.ok("snapshot_disk", disk, BOSH)
    assert snapshot in control(daemon, "snapshots").stdout
    daemon.cpi.ok("detach_disk", vm.cid, disk)
    assert f"has {snapshot}" in refused(control(daemon, "disk", "delete", "-y", disk))
    line = refused(control(daemon, "snapshot", "delete", "--yes", snapshot))
    assert "deployment cf" in line
    gone(control(daemon, "snapshot", "delete", "--yes", "--force", snapshot), snapshot)
    daemon.cpi.ok("set_disk_metadata", disk, BOSH)
    assert "deployment cf" in refused(control(daemon, "disk", "delete", "-y", disk))
    daemon.cpi.ok("attach_disk", vm.cid, disk)
    outcome = control(daemon, "--output=json", "disk", "delete", "--yes", "--force", disk)
    assert json.loads(outcome.stdout) == {"deleted": [disk]}
    assert daemon.cpi.ok("get_disks", vm.cid) == []
    assert daemon.cpi.ok("has_disk", disk) is False
    spare: str = daemon.cpi.ok("create_disk", 16, {})
    gone(answering(daemon, b"yes\n", "disk", "delete", spare), spare)
    daemon.cpi.ok("delete_vm", vm.cid)


def test_a_stemcell(daemon: Daemon, tiny: Path) -> None:
    """A stemcell that VMs run from is refused, even with C{--force}."""
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell)
    for options in (["--yes"], ["--yes", "--force"]):
        line = refused(control(daemon, "stemcell", "delete", *options, stemcell))
        assert f"in use: by {vm.cid}; delete these first" in line
    daemon.cpi.ok("delete_vm", vm.cid)
    gone(control(daemon, "stemcell", "delete", "--yes", stemcell), stemcell)


def test_a_network(daemon: Daemon, stemcell: str) -> None:
    """A network that VMs are in is refused, even with C{--force}."""
    definition = {"range": "10.246.0.0/24", "cloud_properties": {"name": "lan"}}
    network: str = daemon.cpi.ok("create_network", definition)[0]
    dynamic = {"type": "dynamic", "cloud_properties": {"name": "lan"}}
    vm = daemon.create_vm(stemcell, {"a": dynamic})
    for options in (["--yes"], ["--yes", "--force"]):
        line = refused(control(daemon, "network", "delete", *options, network))
        assert f"in use: by {vm.cid}; delete these first" in line
    assert "no network" in refused(control(daemon, "network", "delete", "-y", "default"))
    daemon.cpi.ok("delete_vm", vm.cid)
    outcome = answering(daemon, b"y\n", "network", "delete", network)
    gone(outcome, network)
    assert f"network {network}, lan, 10.246.0.0/24, 10.246.0.1" in outcome.stderr
