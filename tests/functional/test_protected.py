"""Files that a VM with C{capabilities: all} protected from being removed."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.harness import deep
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM
from tests.harness.waiting import eventually

GET_FLAGS, SET_FLAGS = 0x80086601, 0x40086602
IMMUTABLE, APPEND_ONLY = 0x10, 0x20

# VMs whose files are on the host's file system.
ON_THE_HOST = {"vms": {"root_disk_size": 0}}


def protect(path: Path, flags: int) -> None:
    """
    Set flags as chattr(1) does, from inside a VM: the files are on the host's file system.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        protect_open(fd, flags)
    finally:
        os.close(fd)


def protect_open(fd: int, flags: int) -> None:
    """Set the flags of an open file."""
    try:
        found = bytearray(8)
        fcntl.ioctl(fd, GET_FLAGS, found)
        (present,) = struct.unpack("l", found)
        fcntl.ioctl(fd, SET_FLAGS, struct.pack("l", present | flags))
    except OSError as error:
        pytest.skip(f"the file system has no such flags: {error}")


@pytest.mark.parametrize("root_disk_size", [0, 64])
def test_immutable_files(new_daemon: NewDaemon, tiny: Path, root_disk_size: int) -> None:
    """A VM's immutable files, directories at any depth and console are all removed."""
    daemon = new_daemon(config={"vms": {"root_disk_size": root_disk_size}}).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    vm.shell("echo 1 >/file; echo 2 >/var/vcap/data/file; mkdir -p /a/b; ln -s file /a/l")
    inside = vm.directory / "upper"
    with deep.made_below(vm.directory / "data") as lowest:
        deep.write(lowest, "file", "3")
        protect_open(lowest, IMMUTABLE)
    for path, flags in (
        (vm.directory / "data" / "file", IMMUTABLE),
        (vm.directory / "data", APPEND_ONLY),
        (inside / "file", APPEND_ONLY),
        (inside / "a" / "b", IMMUTABLE),
        (inside / "a", IMMUTABLE),
        (vm.directory / "console.log", IMMUTABLE),
    ):
        protect(path, flags)
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert vm.is_alive()
    protect(vm.directory / "console.log", APPEND_ONLY)
    daemon.cpi.ok("delete_vm", vm.cid)
    assert daemon.vm_cids() == []
    daemon.wait_for_removals()
    assert "cannot remove" not in daemon.log


def test_a_console_that_cannot_be_cut(daemon: Daemon, tiny: Path) -> None:
    """A console that its VM made append-only is cut all the same."""
    stemcell = daemon.create_stemcell(tiny)
    vms = [daemon.create_vm(stemcell) for _ in range(2)]
    for vm in vms:
        vm.shell("dd if=/dev/zero bs=1M count=2 of=/proc/1/fd/1")
        protect(vm.directory / "console.log", APPEND_ONLY)
    for vm in vms:
        console = vm.directory / "console.log"
        eventually(partial(_is_empty, console), "it is cut", 60)


def _is_empty(path: Path) -> bool:
    return path.stat().st_size == 0


@contextmanager
def held(daemon: Daemon, vm: VM) -> Iterator[None]:
    """
    Mount something in a VM's tree where the daemon sees it, wherever the tree is moved.
    """
    directory = vm.directory / "data" / "held"
    subprocess.run(["mount", "-t", "tmpfs", "held", str(directory)], check=True)
    try:
        yield
    finally:
        for path in (directory, *daemon.scratch.glob("*/data/held")):
            if path.is_mount():
                subprocess.run(["umount", str(path)], check=True)


def test_what_cannot_be_removed(new_daemon: NewDaemon, tiny: Path) -> None:
    """What cannot be removed is reported at a start and by a repair, and tried again."""
    daemon = new_daemon(config=ON_THE_HOST).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    vm.shell("mkdir /var/vcap/data/held")
    daemon.cpi.ok("reboot_vm", vm.cid)
    for name in ("a", "z"):
        (daemon.scratch / f"old-{name}" / "file").mkdir(parents=True)
    with held(daemon, vm):
        daemon.cpi.ok("delete_vm", vm.cid)
        assert daemon.cpi.ok("has_vm", vm.cid) is False
        eventually(lambda: "cannot remove" in daemon.log, "it is reported", 60)
        told = daemon.control("repair")
        (left,) = daemon.scratch.iterdir()
        assert f"cannot remove {left}: rm: exit status 1" in told
        assert "removed" in told
        daemon.stop()
        (daemon.scratch / "old-a").mkdir()
        before = daemon.log.count("problems left")
        daemon.start()
        eventually(lambda: daemon.log.count("problems left") > before, "it is done", 60)
        assert list(daemon.scratch.iterdir()) == [left]
        assert f"cannot remove {left}" in daemon.log
        assert daemon.create_vm(daemon.create_stemcell(tiny)).is_alive()
    daemon.control("repair")
    assert list(daemon.scratch.iterdir()) == []


def test_what_is_left_goes_by_itself(new_daemon: NewDaemon, tiny: Path) -> None:
    """What could not be removed is removed after C{repair_interval}, and nobody asks."""
    daemon = new_daemon(config={**ON_THE_HOST, "repair_interval": 10}).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    vm.shell("mkdir /var/vcap/data/held")
    daemon.cpi.ok("reboot_vm", vm.cid)
    with held(daemon, vm):
        daemon.cpi.ok("delete_vm", vm.cid)
        eventually(lambda: "cannot remove" in daemon.log, "it is reported", 60)
    eventually(lambda: not list(daemon.scratch.iterdir()), "it goes", 60)
