"""Disks of VMs with security.profile isolated: the daemon mounts them there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.functional.disks.site import Site
from tests.harness.agent import STORE, Agent
from tests.harness.lab import Lab
from tests.harness.vm import VM

DRIVERS = ("image", "directory")
VCAP = 1000


def config(driver: str) -> dict[str, Any]:
    """Return the configuration of a daemon whose VMs are isolated."""
    return {"security": {"profile": "isolated"}, "disks": {"driver": driver}}


@pytest.fixture(scope="module", params=DRIVERS)
def shared_site(request: pytest.FixtureRequest, lab: Lab, store_image: Path) -> object:
    """A daemon whose VMs are isolated, with each kind of disk."""
    with lab.daemons() as lend:
        yield Site(lend(config=config(request.param)), store_image).start()


def first_id(vm: VM) -> int:
    """Return the id of the VM's root on the host."""
    return int(Path(f"/proc/{vm.pid}/uid_map").read_text().split()[1])


def size_of_store(vm: VM) -> int:
    """Return how many bytes the VM's persistent disk holds."""
    found = os.statvfs(f"/proc/{vm.pid}/root{STORE}")
    return found.f_blocks * found.f_frsize


def test_disks(site: Site) -> None:
    """
    A disk is attached to a running VM, used, kept over a reboot, and detached; what is on
    it belongs to the same users for a VM of any profile.
    """
    vm = site.vm()
    agent = Agent(vm)
    assert agent.binds is True
    disk_cid = site.disk(64)
    hint = site.attach(vm, disk_cid)
    assert hint == f"/warden-cpi-dev/{disk_cid}"
    assert agent.mount_disk(disk_cid) == STORE
    vm.shell(f"echo kept >{STORE}/file; chown {VCAP}:{VCAP} {STORE}/file")
    assert vm.run("ls", "-ln", f"{STORE}/file").split()[2:4] == [str(VCAP), str(VCAP)]
    assert site.cpi.ok("attach_disk", vm.cid, disk_cid) == hint
    site.cpi.ok("reboot_vm", vm.cid)
    Agent(vm).start()
    assert vm.read(f"{STORE}/file") == "kept\n"
    Agent(vm).unmount_disk(disk_cid)
    site.detach(vm, disk_cid)
    assert vm.attempt("test", "-e", hint).returncode == 1
    other = site.vm()
    site.attach(other, disk_cid)
    assert other.read(f"{hint}/file") == "kept\n"
    assert other.run("ls", "-ln", f"{hint}/file").split()[2:4] == [str(VCAP), str(VCAP)]
    site.cpi.ok("delete_vm", other.cid)
    site.cpi.ok("delete_disk", disk_cid)


def test_a_disk_in_use(site: Site) -> None:
    """The error for a disk in use names the process; afterwards it can be detached."""
    vm = site.vm()
    disk_cid = site.store(vm)
    pid = vm.shell(f"cd {STORE}; sleep 1000 >/dev/null 2>&1 & echo $!").strip()
    error = site.cpi.error("detach_disk", vm.cid, disk_cid)
    assert error["ok_to_retry"] is True
    assert "sleep" in error["message"]
    vm.shell(f"kill -9 {pid}")
    site.cpi.ok("detach_disk", vm.cid, disk_cid)


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_daemon_restarts(new_site: Callable[..., Site], driver: str) -> None:
    """
    After a crash of the daemon a VM goes on with its disk, and stays isolated when the
    daemon comes back with another profile.
    """
    site = new_site(config=config(driver))
    vm = site.vm()
    first, disk_cid = first_id(vm), site.store(vm)
    vm.shell(f"echo kept >{STORE}/file")
    site.daemon.kill()
    site.daemon.config.update({"security": {"profile": "default"}})
    site.daemon.write_config()
    site.daemon.start()
    assert vm.read(f"{STORE}/file") == "kept\n"
    site.cpi.ok("reboot_vm", vm.cid)
    assert first_id(vm) == first
    assert vm.read(f"{STORE}/file") == "kept\n"
    assert first_id(site.vm()) == 0
    site.detach(vm, disk_cid)


def test_growing_and_snapshots(new_site: Callable[..., Site]) -> None:
    """A mounted disk grows, and a snapshot of it is taken."""
    site = new_site(config=config("image"))
    vm = site.vm()
    disk_cid = site.store(vm, 300, {"filesystem": "xfs"})
    vm.shell(f"echo kept >{STORE}/file")
    before = size_of_store(vm)
    site.cpi.ok("resize_disk", disk_cid, 400)
    assert size_of_store(vm) - before > 90 << 20
    site.cpi.ok("delete_snapshot", site.cpi.ok("snapshot_disk", disk_cid, {}))
    assert vm.read(f"{STORE}/file") == "kept\n"


def test_ephemeral_disk(new_site: Callable[..., Site]) -> None:
    """/var/vcap/data is on the ephemeral disk, and is the VM's."""
    site = new_site(config=config("image"))
    vm = site.vm({"ephemeral_disk_size": 64})
    mounts = {mount.point: mount.source for mount in Agent(vm).mounts()}
    assert mounts["/var/vcap/data"].startswith("/dev/loop")
    vm.shell("echo kept >/var/vcap/data/file; mkdir -p /var/vcap/data/sys/run/job")
    site.cpi.ok("reboot_vm", vm.cid)
    assert vm.read("/var/vcap/data/file") == "kept\n"
    assert vm.attempt("test", "-e", "/var/vcap/data/sys").returncode == 1
    assert vm.run("ls", "-ln", "/var/vcap/data/file").split()[2:4] == ["0", "0"]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_broken_record_of_ids(new_site: Callable[..., Site], driver: str) -> None:
    """
    A VM whose record of ids is broken never boots with the host's; others are served, and
    it can be deleted without a loss of its disk.
    """
    site = new_site(config=config(driver))
    vm = site.vm()
    first, disk_cid = first_id(vm), site.store(vm)
    (vm.directory / "ids.json").write_text("{")
    site.daemon.stop()
    site.daemon.start()
    assert vm.is_alive()
    assert first_id(site.vm()) not in (0, first)
    error = site.cpi.error("reboot_vm", vm.cid)
    assert "ids.json" in error["message"]
    site.cpi.ok("delete_vm", vm.cid)
    other = site.vm()
    site.attach(other, disk_cid)
