"""A daemon with a stemcell, and short methods for tests of disks."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.harness.agent import Agent
from tests.harness.cpi import CPI
from tests.harness.daemon import Daemon
from tests.harness.vm import SETTINGS, VM
from tests.harness.waiting import eventually

CONTROL = Path(sys.executable).with_name("runc-cpictl")
STORE = "/var/vcap/store"
MIB = 1 << 20
DISK_NOT_FOUND = "Bosh::Clouds::DiskNotFound"
DISK_NOT_ATTACHED = "Bosh::Clouds::DiskNotAttached"
VM_NOT_FOUND = "Bosh::Clouds::VMNotFound"
NO_DISK_SPACE = "Bosh::Clouds::NoDiskSpace"
NOT_SUPPORTED = "Bosh::Clouds::NotSupported"
CLOUD_ERROR = "Bosh::Clouds::CloudError"


class Site:
    """
    A daemon and its stemcell.

    @ivar daemon: the daemon, which may be killed and started meanwhile.
    """

    def __init__(self, daemon: Daemon, image: Path) -> None:
        self.daemon, self._image = daemon, image
        self.stemcell = ""

    def start(self) -> Site:
        """Start the daemon, and wait until it serves."""
        self.daemon.start()
        self.stemcell = self.daemon.create_stemcell(self._image)
        return self

    def clear(self) -> None:
        """Delete all but the stemcell."""
        work_dir = self.daemon.work_dir
        for kind, noun in (("vms", "vm"), ("disks", "disk"), ("snapshots", "snapshot")):
            for path in (work_dir / kind).iterdir():
                self.cpi.ok(f"delete_{noun}", path.name)

    @property
    def cpi(self) -> CPI:
        """The executable, to call the daemon with."""
        return self.daemon.cpi

    def vm(self, cloud_properties: Mapping[str, Any] | None = None) -> VM:
        """Make a VM."""
        return self.daemon.create_vm(self.stemcell, cloud_properties=cloud_properties)

    def disk(self, size: int = 16, cloud_properties: Any = None) -> str:
        """Make a disk."""
        disk_cid: str = self.cpi.ok("create_disk", size, cloud_properties or {}, None)
        return disk_cid

    def attach(self, vm: VM, disk_cid: str) -> str:
        """Attach a disk, and tell the agent; return the disk's path in the VM."""
        hint: str = self.cpi.ok("attach_disk", vm.cid, disk_cid)
        Agent(vm).add_persistent_disk(disk_cid, hint)
        return hint

    def detach(self, vm: VM, disk_cid: str) -> None:
        """Detach a disk, as the Director does without asking the agent to unmount it."""
        Agent(vm).remove_persistent_disk(disk_cid)
        self.cpi.ok("detach_disk", vm.cid, disk_cid)

    def store(self, vm: VM, size: int = 16, cloud_properties: Any = None) -> str:
        """Make a disk, attach it to a VM, and mount it at the VM's store."""
        disk_cid = self.disk(size, cloud_properties)
        self.attach(vm, disk_cid)
        assert Agent(vm).mount_disk(disk_cid) == STORE
        return disk_cid

    def image(self, cid: str) -> Path:
        """Return the file of a disk, or of a snapshot."""
        kind = "snapshots" if cid.startswith("snapshot") else "disks"
        return self.daemon.work_dir / kind / cid / "image"

    def record(self, disk_cid: str) -> dict[str, Any]:
        """Return what C{runc-cpictl} shows of a disk."""
        answer = json.loads(self.control("disks", "--output=json").stdout)
        return next(disk for disk in answer["disks"] if disk["disk_cid"] == disk_cid)

    def control(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run C{runc-cpictl}."""
        argv = [str(CONTROL), "--config", str(self.daemon.config_file), *arguments]
        return subprocess.run(argv, capture_output=True, text=True, check=False)


def close(daemon: Daemon) -> None:
    """End a daemon with its VMs; if that fails, end the daemon alone."""
    try:
        daemon.tear_down()
    finally:
        if daemon.is_running:
            daemon.kill()


def loop_of(image: Path) -> str | None:
    """Return the name of the loop device that a file is attached to."""
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if path.read_text().rstrip("\n") == str(image.resolve()):
                return path.parts[3]
        except OSError:
            continue
    return None


def let_go(image: Path) -> None:
    """Detach the loop devices that a failed test would leave attached."""
    if name := loop_of(image):
        subprocess.run(["losetup", "--detach", f"/dev/{name}"], check=False)


def in_settings(vm: VM) -> dict[str, str]:
    """Return the disks that the agent's settings file names."""
    disks: dict[str, str] = json.loads(vm.read(SETTINGS))["disks"]["persistent"]
    return disks


def processes(vm: VM) -> dict[int, int]:
    """Return the processes of a VM: the start time of each, by its pid."""
    found = {}
    for line in (vm.cgroups()["pids"] / "cgroup.procs").read_text().split():
        with suppress(FileNotFoundError, ProcessLookupError):
            stat = Path("/proc", line, "stat").read_text().rpartition(")")[2].split()
            found[int(line)] = int(stat[19])
    return found


def settled_processes(vm: VM) -> dict[int, int]:
    """Return the processes of a VM once none of them comes or goes any more."""
    found = processes(vm)

    def are_the_same() -> bool:
        nonlocal found
        time.sleep(0.3)
        before, found = found, processes(vm)
        return found == before

    eventually(are_the_same, "the VM has started all")
    return found


@contextmanager
def copied(image: Path) -> Iterator[Path]:
    """Copy a file for a while, so that work on the copy leaves the file as it was."""
    copy = image.with_name("copied")
    run("cp", "--sparse=always", str(image), str(copy))
    try:
        yield copy
    finally:
        copy.unlink()


@contextmanager
def looked_at(image: Path, filesystem: str = "ext4") -> Iterator[Path]:
    """Mount a file that nothing uses on the host for a while; return the mount point."""
    options = "loop,nouuid" if filesystem == "xfs" else "loop"
    point = image.with_name("point")
    point.mkdir()
    try:
        run("mount", "-t", filesystem, "-o", options, str(image), str(point))
        try:
            yield point
        finally:
            run("umount", str(point))
    finally:
        point.rmdir()


def check(image: Path, filesystem: str = "ext4") -> None:
    """Check the file system in a file that nothing uses, after a replay of its journal."""
    with copied(image) as copy:
        if filesystem == "ext4":
            run("e2fsck", "-E", "journal_only", "-fp", str(copy), good=(0, 1))
            run("e2fsck", "-fn", str(copy))
        else:
            with looked_at(copy, "xfs"):
                pass
            run("xfs_repair", "-n", str(copy))


def run(*argv: str, good: tuple[int, ...] = (0,)) -> str:
    """Run a tool, which must succeed."""
    outcome = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert outcome.returncode in good, (argv, outcome.stdout, outcome.stderr)
    return outcome.stdout
