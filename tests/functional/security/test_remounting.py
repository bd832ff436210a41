"""A VM can mount its file systems with other options, and no file system of the host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.test_full_disk import SmallDisk
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM

SMALL = {"root_disk_size": 64}
DATA = "/var/vcap/data"


@pytest.fixture
def config() -> dict[str, Any]:
    """What else the daemon is told."""
    return {}


@pytest.fixture
def confined(
    leaves_nothing: None, new_daemon: NewDaemon, config: dict[str, Any]
) -> Iterator[Daemon]:
    """A daemon whose work_dir is a file system of its own: its size can be changed."""
    daemon = new_daemon(config=config)
    disk = SmallDisk(daemon.work_dir)
    yield daemon.start()
    daemon.tear_down()
    disk.remove()


def size(directory: Path) -> int:
    """Return how many bytes a file system has."""
    told = os.statvfs(directory)
    return told.f_frsize * told.f_blocks


def remount_all(vm: VM) -> int:
    """Give each file system that a VM sees another size; return how many were changed."""
    places = {line.split()[4] for line in vm.read("/proc/self/mountinfo").splitlines()}
    changes = [
        vm.attempt("mount", "-o", "remount,size=48m", place) for place in sorted(places)
    ]
    return sum(change.returncode == 0 for change in changes)


@pytest.mark.parametrize("properties", [SMALL, {**SMALL, "ephemeral_disk_size": 16}])
def test_the_host_keeps_its_own(
    confined: Daemon, tiny: Path, properties: dict[str, int]
) -> None:
    """Whatever a VM remounts, the file system of work_dir stays as it is."""
    before = size(confined.work_dir)
    vm = confined.create_vm(confined.create_stemcell(tiny), cloud_properties=properties)
    assert remount_all(vm) > 0
    assert size(confined.work_dir) == before
    vm.shell(f"mount -o remount,ro {DATA}")
    written = vm.attempt("/bin/sh", "-c", f": >{DATA}/file")
    assert "Read-only file system" in written.stderr
    assert (vm.directory / "vm.json").exists()
    assert confined.create_vm(
        confined.create_stemcell(tiny), cloud_properties=SMALL
    ).is_alive()


@pytest.mark.parametrize("config", [{"vms": {"root_disk_size": 0}}])
def test_the_hosts_own_stays_writable(confined: Daemon, tiny: Path) -> None:
    """A VM that has its data on the file system of work_dir cannot stop the daemon."""
    stemcell = confined.create_stemcell(tiny)
    vm = confined.create_vm(stemcell)
    refused = vm.attempt("mount", "-o", "remount,ro", DATA)
    assert "busy" in refused.stderr, refused
    assert confined.create_vm(stemcell).is_alive()


def test_programs_and_nodes_in_data(daemon: Daemon, tiny: Path) -> None:
    """In C{/var/vcap/data}, too, set-uid programs get rights, and nodes can be used."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny), cloud_properties=SMALL)
    vm.shell(f"mknod {DATA}/null c 1 3; echo 1 >{DATA}/null")
    flags = os.statvfs(f"/proc/{vm.pid}/root{DATA}").f_flag
    assert not flags & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC)
    on_the_host = os.statvfs(vm.directory / "data").f_flag
    assert on_the_host & os.ST_NOSUID
    assert on_the_host & os.ST_NODEV
