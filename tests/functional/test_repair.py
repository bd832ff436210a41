"""C{runc-cpictl repair} mends what somebody broke while the daemon did not look."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.harness import leaks, netns
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually

NOTHING = "0 things put right, 0 problems left"


def repair(daemon: Daemon) -> list[str]:
    """Repair, and return the lines; a second repair must have nothing to do."""
    lines = daemon.control("repair").splitlines()
    assert daemon.control("repair") == NOTHING + "\n"
    return lines


def test_nothing_to_do(daemon: Daemon, tiny: Path) -> None:
    """If VMs and disks are as the records say, a repair changes nothing."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    disk = daemon.cpi.ok("create_disk", 8, {}, vm.cid)
    daemon.cpi.ok("attach_disk", vm.cid, disk)
    pid = vm.pid
    assert repair(daemon) == [NOTHING]
    assert json.loads(daemon.control("repair", "--output=json")) == {
        "done": [],
        "problems": [],
    }
    assert vm.pid == pid
    assert vm.is_alive()
    daemon.stop()
    daemon.start()
    assert NOTHING in daemon.log
    daemon.cpi.ok("detach_disk", vm.cid, disk)
    daemon.cpi.ok("delete_disk", disk)


def test_a_lost_interface(daemon: Daemon, tiny: Path) -> None:
    """A VM that lost its interface gets it back, and its processes do not notice."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    pid = vm.pid
    (link,) = [name for name in netns.links() if name.startswith("v")]
    subprocess.run(["ip", "link", "delete", link], check=True)
    assert repair(daemon)[0] == f"connected {vm.cid} again"
    assert vm.pid == pid
    assert vm.address in vm.run("ip", "addr")
    vm.run("ping", "-c", "1", "-W", "2", daemon.network + "1")


def test_a_lost_device(daemon: Daemon, tiny: Path) -> None:
    """The node of a disk that a process in the VM removed is made again."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    disk = daemon.cpi.ok("create_disk", 8, {}, vm.cid)
    hint = daemon.cpi.ok("attach_disk", vm.cid, disk)
    vm.run("rm", hint)
    assert repair(daemon)[0] == f"gave {disk} to {vm.cid} again"
    vm.shell(f"test -b {hint} && dd if={hint} of=/dev/null bs=512 count=1")
    daemon.cpi.ok("detach_disk", vm.cid, disk)
    daemon.cpi.ok("delete_disk", disk)


def test_a_vm_that_was_lost(daemon: Daemon, tiny: Path) -> None:
    """A VM whose container was deleted by hand is booted again."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    vm.shell("echo 1 >/kept")
    root = str(daemon.work_dir / "runtime")
    subprocess.run(["runc", "--root", root, "delete", "--force", vm.cid], check=True)
    eventually(lambda: not vm.is_alive(), "it is gone")
    # The daemon noticed the end, so it takes the VM for one that ended by itself.
    record = vm.directory / "vm.json"
    eventually(lambda: json.loads(record.read_text())["stopped"], "it is noted", 15)
    assert repair(daemon) == [NOTHING]
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert vm.read("/kept") == "1\n"


def test_a_state_that_the_runtime_cannot_read(daemon: Daemon, tiny: Path) -> None:
    """A VM whose state the runtime cannot read is deleted, with all its processes."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    state = daemon.work_dir / "runtime" / vm.cid / "state.json"
    state.write_text(state.read_text()[:100])
    daemon.cpi.ok("delete_vm", vm.cid)
    assert not vm.is_alive()


def test_leftovers(daemon: Daemon, tiny: Path) -> None:
    """What is provably the daemon's and of no VM is removed, and nothing else."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    gone = "vm-01234567-89ab-cdef-0123-456789abcdef"
    (daemon.work_dir / "vms" / gone / "upper").mkdir(parents=True)
    (daemon.scratch / "old-thing").mkdir()
    disk = daemon.cpi.ok("create_disk", 8, {}, vm.cid)
    image = daemon.work_dir / "disks" / disk / "image"
    subprocess.run(["losetup", "--find", image], check=True)
    other = daemon.home / "image"
    other.write_bytes(bytes(1 << 20))
    subprocess.run(["losetup", "--find", other], check=True)
    sleeper, cgroup = lost_process(daemon, "vm-76543210-89ab-cdef-0123-456789abcdef")
    try:
        lines = repair(daemon)
        assert {
            f"removed {gone}, which was no whole VM",
            f"removed {daemon.scratch / 'old-thing'}, which was not finished",
            f"let go of the loop device of {image}",
            f"removed {cgroup.name}, which was no whole VM",
        } == set(lines[:-1])
        assert sleeper.wait(5) == -signal.SIGKILL
        assert not cgroup.exists()
        assert str(other) in subprocess.check_output(["losetup", "--list"], text=True)
    finally:
        sleeper.kill()
        device = subprocess.check_output(
            ["losetup", "--noheadings", "--output", "NAME", "-j", other], text=True
        )
        subprocess.run(["losetup", "--detach", device.strip()], check=True)
    daemon.cpi.ok("delete_disk", disk)
    assert vm.is_alive()


def lost_process(daemon: Daemon, name: str) -> tuple[subprocess.Popen[bytes], Path]:
    """Leave a process in a cgroup of a VM that never existed."""
    (parent,) = [
        path for path in leaks.CGROUPS.glob(f"pids/{daemon.cgroup}") if path.is_dir()
    ] or [leaks.CGROUPS / daemon.cgroup]
    cgroup = parent / name
    cgroup.mkdir()
    sleeper = subprocess.Popen(["sleep", "1000"])
    (cgroup / "cgroup.procs").write_text(str(sleeper.pid))
    return sleeper, cgroup


@pytest.mark.parametrize("driver", ["image", "directory"])
def test_disks_of_a_vm_that_is_gone(new_daemon: NewDaemon, tiny: Path, driver: str) -> None:
    """The disks of a VM stay when somebody removes the VM's record by hand."""
    config: dict[str, Any] = {"disks": {"driver": driver}}
    daemon = new_daemon(config=config).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    disk = daemon.cpi.ok("create_disk", 8, {}, vm.cid)
    daemon.cpi.ok("attach_disk", vm.cid, disk)
    daemon.stop()
    (vm.directory / "vm.json").unlink()
    daemon.start()
    assert daemon.cpi.ok("has_vm", vm.cid) is False
    assert daemon.cpi.ok("has_disk", disk) is True
    assert not vm.directory.exists()
    other = daemon.create_vm(daemon.create_stemcell(tiny))
    daemon.cpi.ok("attach_disk", other.cid, disk)
    daemon.cpi.ok("detach_disk", other.cid, disk)
    daemon.cpi.ok("delete_disk", disk)
