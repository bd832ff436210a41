"""Each command of the operator's tool, on a real daemon with real VMs."""

from __future__ import annotations

import gzip
import json
import os
import pty
import signal
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.harness import images
from tests.harness.daemon import CONTROL, Daemon
from tests.harness.lab import Lab
from tests.harness.vm import VM
from tests.harness.waiting import eventually
from tests.unit.ctl.invoking import Tool

PATIENCE = 60
AGENTS_LOG = "/var/vcap/bosh/log/current"
JOBS_LOG = "/var/vcap/sys/log/web/web.log"
# One MiB that stays, and logs of an agent and of a job.
INIT = f"""#!/bin/sh
mkdir -p /var/vcap/bosh/log /var/vcap/sys/log/web
echo 'the agent began' >{AGENTS_LOG}
printf 'the job \\033]0;x\\007began\\n' >{JOBS_LOG}
echo on the console
exec /bin/busybox sleep 1000000
"""
# What enters and leaves the other screen of a terminal (console_codes(4)).
ENTERED, LEFT = b"\x1b[?1049h", b"\x1b[?1049l"
BOSH = {"director": "runc", "deployment": "cf", "job": "api", "index": "0"}


@pytest.fixture(scope="class")
def daemon(lab: Lab) -> Iterator[Daemon]:
    """A daemon for all of these tests."""
    with lab.daemons() as new_daemon:
        yield new_daemon(network_type="tcp").start()


@pytest.fixture(scope="class")
def vm(daemon: Daemon, lab: Lab, busybox: bytes) -> VM:
    """A VM that publishes a port, and logs."""
    path = lab.home / "logging.tgz"
    tail = images.entry("bin/tail", kind=tarfile.SYMTYPE, link="busybox")
    path.write_bytes(gzip.compress(images.tiny(busybox, INIT, tail), 1))
    port = {"host": daemon.port + 10000, "container": 80, "protocol": "tcp"}
    properties = {"ports": [port], "ram": 64, "cpu": 1}
    vm = daemon.create_vm(daemon.create_stemcell(path), cloud_properties=properties)
    daemon.cpi.ok("set_vm_metadata", vm.cid, BOSH)
    return vm


@pytest.fixture(autouse=True)
def leaves_nothing() -> None:
    """Check for leftovers when the daemon is stopped, not after each test."""


class Operator:
    """
    Runs C{runc-cpictl} for the daemon of these tests.

    Most commands are run in this process: a Python of its own takes longer than they do.
    """

    def __init__(self, tool: Tool, daemon: Daemon) -> None:
        self._tool, self._config = tool, daemon.config_file

    @property
    def argv(self) -> list[str]:
        """The command line, without a command, for a process of its own."""
        return [str(CONTROL), "--config", str(self._config)]

    def shown(self, *arguments: str) -> str:
        """Return what a command prints for people."""
        outcome = self._tool("--config", self._config, *arguments)
        assert outcome.status == 0, outcome
        return outcome.stdout

    def told(self, *arguments: str) -> Any:
        """Return what a command tells in JSON."""
        return json.loads(self.shown("--output=json", *arguments))

    def refused(self, *arguments: str) -> str:
        """Return why a command does not succeed."""
        outcome = self._tool("--config", self._config, *arguments)
        assert outcome.status == 1, outcome
        assert "Traceback" not in outcome.stderr
        return outcome.stderr


@pytest.fixture
def operator(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], daemon: Daemon
) -> Operator:
    """Who runs the tool."""
    return Operator(Tool(monkeypatch, capsys), daemon)


class Output:
    """What a process writes, as far as it was read."""

    def __init__(self, fd: int) -> None:
        self._fd, self._seen = fd, b""
        os.set_blocking(fd, False)

    def wait_for(self, wanted: bytes, *, after: bytes = b"") -> None:
        """Read until that is there, behind something else."""

        def is_there() -> bool:
            with suppress(OSError):
                self._seen += os.read(self._fd, 1 << 16)
            return wanted in (self._seen.partition(after)[2] if after else self._seen)

        eventually(is_there, f"it writes {wanted!r}", PATIENCE)


@contextmanager
def running(argv: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command that does not end by itself, whatever becomes of the test."""
    # Tests in the background ignore Ctrl-C, and so would what they start.
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    options = {**options, "stdin": subprocess.DEVNULL, "preexec_fn": heeding}
    with subprocess.Popen(argv, **options) as process:
        try:
            yield process
        finally:
            process.kill()


class TestOperator:
    """Each test leaves the daemon as it was, with one VM."""

    def test_vms(self, operator: Operator, daemon: Daemon, vm: VM) -> None:
        """C{vms} and C{vm show} tell what a VM is, and what it uses."""
        vm.attempt("sh", "-c", "busybox ping -c 1 -W 2 " + daemon.network + "1")
        (found,) = operator.told("vms", "--sort", "memory")["vms"]
        usage = found["usage"]
        assert usage["memory_limit"] == 64 << 20
        assert 0 < usage["memory"] < usage["memory_limit"]
        assert usage["cpu_limit"] == 1
        assert usage["cpu"] < 1
        assert usage["sent"] > 0
        assert 0 < usage["disk"] < usage["disk_limit"]
        heading, row = operator.shown("vms").splitlines()
        assert heading.split()[:3] == ["VM", "STATE", "DEPLOYMENT"]
        assert row.split()[:4] == [vm.cid, "running", "cf", "api/0"]
        assert row.rstrip().endswith(f"{daemon.port + 10000}->80/tcp")
        assert operator.told("vm", "show", vm.cid)["usage"]["pids"] == 1
        facts = operator.shown("vm", "show", vm.cid)
        assert "metadata deployment:  cf" in facts
        assert "there is no vm" in operator.refused("vm", "show", vm.cid[:-4] + "0000")

    @pytest.mark.usefixtures("vm")
    def test_watching(self, operator: Operator) -> None:
        """C{vms --watch} refreshes in place, and leaves the last table behind."""
        ours, theirs = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200", "LINES": "40"}
        argv = [*operator.argv, "vms", "--watch"]
        with running(argv, stdout=theirs, env=environment) as process:
            os.close(theirs)
            output = Output(ours)
            output.wait_for(b"api/0", after=ENTERED)
            process.send_signal(signal.SIGINT)
            output.wait_for(b"api/0", after=LEFT)
            assert process.wait(PATIENCE) == 0
        os.close(ours)

    def test_logs(self, operator: Operator, vm: VM) -> None:
        """C{vm logs} shows the logs of agent and jobs, and nothing acts on a terminal."""
        eventually(lambda: "on the" in operator.shown("vm", "console", vm.cid), "it boots")
        logs = operator.shown("vm", "logs", vm.cid)
        assert "the agent began\n" in logs
        assert r"the job \x1b]0;x\x07began" in logs
        assert "on the console" in operator.shown("vm", "logs", "--console", vm.cid)
        argv = [*operator.argv, "vm", "logs", "-f", vm.cid]
        with running(argv, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            output = Output(process.stdout.fileno())
            output.wait_for(b"began")
            vm.attempt("sh", "-c", f"echo more >>{JOBS_LOG}")
            output.wait_for(b"more")
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0

    def test_copying(
        self, operator: Operator, daemon: Daemon, vm: VM, tmp_path: Path
    ) -> None:
        """C{cp} copies a file in and out, and no link of a VM leads it elsewhere."""
        file, back = tmp_path / "file", tmp_path / "back"
        file.write_bytes(bytes(range(256)) * 5000)
        file.chmod(0o4750)
        operator.shown("cp", str(file), f"{vm.cid}:/tmp/")
        assert vm.run("stat", "-c", "%a %u %s", "/tmp/file") == "750 0 1280000\n"
        answer = operator.told("cp", f"{vm.cid}:/tmp/file", str(back))
        assert answer["bytes"] == 1280000
        assert back.read_bytes() == file.read_bytes()
        vm.run("busybox", "ln", "-s", str(tmp_path), "/tmp/out")
        assert "No such file" in operator.refused("cp", str(file), f"{vm.cid}:/tmp/out/x")
        vm.run("busybox", "mkfifo", "/tmp/pipe")
        assert "no ordinary" in operator.refused("cp", f"{vm.cid}:/tmp/pipe", str(back))
        large = "is larger than 1 MiB"
        assert large in operator.refused("cp", "--limit=1", str(file), f"{vm.cid}:/tmp/l")
        assert vm.run("ls", "-A", "/tmp").split() == ["file", "out", "pipe"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "file"]

    def test_disks(self, operator: Operator, daemon: Daemon, vm: VM) -> None:
        """C{disk show} and C{disk snapshot} are about one disk."""
        disk: str = daemon.cpi.ok("create_disk", 16, {})
        daemon.cpi.ok("attach_disk", vm.cid, disk)
        snapshot = operator.told("disk", "snapshot", disk)["snapshot_cid"]
        shown = operator.told("disk", "show", disk)
        assert shown["snapshot_cids"] == [snapshot]
        assert 0 < shown["taken"] < 17 << 20
        assert f"attached to:  {vm.cid}" in operator.shown("disk", "show", disk)
        assert operator.told("vm", "show", vm.cid)["disk_cids"] == [disk]
        assert snapshot in operator.shown("snapshots")
        daemon.cpi.ok("detach_disk", vm.cid, disk)
        daemon.cpi.ok("delete_snapshot", snapshot)
        daemon.cpi.ok("delete_disk", disk)

    def test_networks(self, operator: Operator, daemon: Daemon, vm: VM) -> None:
        """C{ports}, C{leases} and C{network show} tell what VMs have of the network."""
        (port,) = operator.told("ports")["ports"]
        assert (port["vm_cid"], port["first"], port["container"]) == (
            vm.cid,
            daemon.port + 10000,
            80,
        )
        assert f"{daemon.port + 10000}->80/tcp" in operator.shown("ports")
        leases = operator.told("leases")["leases"]
        assert {"address": vm.address, "vm_cid": vm.cid}.items() <= leases[-1].items()
        assert f"{vm.address}  default" in operator.shown("leases")
        network = operator.told("network", "show", "default")
        assert network["bridge"] == daemon.config["bridge"]
        assert daemon.config["cidr"] in operator.shown("network", "show", "default")
        assert "no network" in operator.refused("network", "show", "x")

    def test_power(self, operator: Operator, daemon: Daemon, vm: VM) -> None:
        """C{vm stop} lasts until C{vm start}, also if the daemon starts again."""
        operator.shown("vm", "stop", vm.cid)
        assert not vm.is_alive()
        daemon.stop()
        daemon.start()
        (found,) = operator.told("vms")["vms"]
        assert (found["running"], found["usage"]) == (False, None)
        assert "does not run" in operator.refused("vm", "logs", vm.cid)
        assert operator.told("vm", "start", vm.cid) == {"started": vm.cid}
        first = vm.pid
        operator.shown("vm", "start", vm.cid)
        assert vm.pid == first
        operator.shown("vm", "reboot", vm.cid)
        assert vm.pid != first
        assert vm.is_alive()

    def test_stemcells(
        self, operator: Operator, daemon: Daemon, vm: VM, tmp_path: Path
    ) -> None:
        """C{stemcell upload} takes what BOSH takes; the journal is the log of systemd."""
        image = images.bootable("systemd")
        packed = tmp_path / "stemcell.tgz"
        with tarfile.open(packed, "w") as archive:
            archive.add(image.with_name("stemcell.MF"), "stemcell.MF")
            archive.add(image, "image")
        stemcell = operator.told("stemcell", "upload", str(packed))["stemcell_cid"]
        shown = operator.told("stemcell", "show", stemcell)
        assert shown["features"]["init"] == "systemd"
        assert shown["taken"] > image.stat().st_size
        assert "systemd" in operator.shown("stemcell", "show", stemcell)
        broken = tmp_path / "broken.tgz"
        broken.write_bytes(packed.read_bytes()[:-400_000])
        assert str(broken) in operator.refused("stemcell", "upload", str(broken))
        booted = daemon.create_vm(stemcell)
        journal = lambda: operator.shown("vm", "logs", "-n", "1000", booted.cid)  # noqa: E731
        eventually(lambda: "systemd[1]" in journal(), "systemd logs")
        daemon.cpi.ok("delete_vm", booted.cid)
        daemon.cpi.ok("delete_stemcell", stemcell)

    @pytest.mark.usefixtures("vm")
    def test_pruning(self, operator: Operator, daemon: Daemon, tiny: Path) -> None:
        """C{prune} deletes what is not used, and what is named, and says what it frees."""
        disk: str = daemon.cpi.ok("create_disk", 16, {})
        named = disk, daemon.cpi.ok("snapshot_disk", disk, {})
        daemon.create_stemcell(tiny)
        before = operator.told("stemcells")["stemcells"]
        assert len(before) == 2
        text = operator.refused("prune", *named)
        assert "That frees" in text
        assert "give --yes" in text
        assert "no disk" in operator.refused("prune", "--yes", "disk-x")
        pruned = operator.told("prune", "--yes", *named)
        assert pruned["bytes"] > 1 << 20
        assert {*named, *pruned["deleted"]} == set(pruned["deleted"])
        assert operator.told("disks")["disks"] == []
        assert len(operator.told("stemcells")["stemcells"]) == 1
        assert operator.shown("prune", "--yes") == "nothing to delete\n"

    def test_the_daemon(self, operator: Operator, daemon: Daemon) -> None:
        """C{version}, C{config} and C{doctor} tell of the daemon and its host."""
        assert operator.told("version")["runtime"].startswith("runc version")
        assert operator.told("config", "show")["work_dir"] == str(daemon.work_dir)
        assert "is right" in operator.shown("config", "check")
        found = {each["check"]: each for each in operator.told("doctor")["findings"]}
        assert found["daemon"]["state"] == "ok"
        assert found["leftovers"]["state"] == "ok"
        assert found["nftables"]["state"] == "ok"
        (daemon.work_dir / "runtime" / "vm-x").mkdir()
        stray = {each["check"]: each for each in operator.told("doctor")["findings"]}
        assert "vm-x" in stray["leftovers"]["seen"]
        assert "runc-cpictl repair" in operator.shown("doctor")
        (daemon.work_dir / "runtime" / "vm-x").rmdir()
