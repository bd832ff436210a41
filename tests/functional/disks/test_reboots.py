"""After a reboot of the VM, the daemon or the host, disks are where they were."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable

import pytest

from tests.functional.disks.site import CLOUD_ERROR, Site, in_settings, loop_of, run
from tests.harness.agent import STORE, Agent
from tests.harness.vm import VM
from tests.harness.waiting import eventually


def reboot_vm(site: Site, vm: VM) -> None:
    """Reboot a VM as C{bosh cck} does."""
    site.cpi.ok("reboot_vm", vm.cid)


def reboot_after_a_crash(site: Site, vm: VM) -> None:
    """Kill a VM, and start it again."""
    os.kill(vm.pid, signal.SIGKILL)
    eventually(lambda: not vm.is_alive(), "the VM is down")
    site.cpi.ok("reboot_vm", vm.cid)


def restart_daemon(site: Site, vm: VM) -> None:
    """Stop and start the daemon, as an upgrade does."""
    site.daemon.stop()
    site.daemon.start()


def kill_daemon(site: Site, vm: VM) -> None:
    """Kill the daemon, and start it."""
    site.daemon.kill()
    site.daemon.start()


def reboot_host(site: Site, vm: VM) -> None:
    """Take away all that a crash of the host takes: all that is not on a disk."""
    site.daemon.kill()
    os.kill(vm.pid, signal.SIGKILL)
    eventually(lambda: not vm.is_alive(), "the VM is down")
    work_dir = site.daemon.work_dir
    lost = ["runc", "--root", str(work_dir / "runtime"), "delete", "--force", vm.cid]
    subprocess.run(lost, check=True)
    shutil.rmtree(work_dir / "runtime")
    (work_dir / "boot_id").write_text("another")
    for path in (work_dir / "disks").iterdir():
        if name := loop_of(path / "image"):
            subprocess.run(["losetup", "--detach", f"/dev/{name}"], check=True)
    site.daemon.start()
    eventually(lambda: f"brought back {vm.cid}" in site.daemon.log, "the VM is back")


@pytest.mark.parametrize(
    ("reboot", "filesystem"),
    [
        (reboot_vm, "ext4"),
        (reboot_vm, "xfs"),
        (reboot_after_a_crash, "ext4"),
        (restart_daemon, "ext4"),
        (kill_daemon, "ext4"),
        (reboot_host, "ext4"),
        pytest.param(reboot_host, "xfs", marks=pytest.mark.long),
    ],
)
def test_the_store_is_back(
    own_site: Site, reboot: Callable[[Site, VM], None], filesystem: str
) -> None:
    """
    After a reboot the store is mounted again with its data, and nothing else is mounted.
    """
    site, vm = own_site, own_site.vm()
    size = 16 if filesystem == "ext4" else 300
    disk_cid = site.store(vm, size, {"filesystem": filesystem})
    other = site.disk()
    site.cpi.ok("attach_disk", vm.cid, other)
    vm.shell(f"echo kept >{STORE}/file; sync")
    reboot(site, vm)
    agent = Agent(vm)
    assert agent.points(f"/dev/{disk_cid}") == [STORE]
    assert agent.points(f"/dev/{other}") == []
    assert vm.read(f"{STORE}/file") == "kept\n"
    assert agent.list_disk() == [disk_cid]
    assert sorted(site.cpi.ok("get_disks", vm.cid)) == sorted([disk_cid, other])
    vm.shell(f"mkdir /other; mount /dev/{other} /other; echo 1 >/other/1")
    vm.shell(f"echo more >>{STORE}/file")
    for cid in (disk_cid, other):
        site.detach(vm, cid)
        assert loop_of(site.image(cid)) is None


@pytest.mark.parametrize(
    "reboot", [reboot_vm, pytest.param(reboot_host, marks=pytest.mark.long)]
)
def test_a_disk_that_is_gone(own_site: Site, reboot: Callable[[Site, VM], None]) -> None:
    """The agent starts although the disk that it mounted last was detached."""
    site, vm = own_site, own_site.vm()
    disk_cid = site.store(vm)
    site.detach(vm, disk_cid)
    assert Agent(vm).managed_disk() == disk_cid
    reboot(site, vm)
    Agent(vm).start()
    assert Agent(vm).points(f"/dev/{disk_cid}") == []
    assert vm.attempt("test", "-e", f"/dev/{disk_cid}").returncode == 1


def test_a_second_disk_that_stays(site: Site) -> None:
    """After a change of disks the second one comes back at a reboot."""
    vm = site.vm()
    first = site.store(vm)
    site.detach(vm, first)
    second = site.store(vm)
    vm.shell(f"echo 2 >{STORE}/number; sync")
    site.cpi.ok("reboot_vm", vm.cid)
    Agent(vm).start()
    assert Agent(vm).points(f"/dev/{second}") == [STORE]
    assert vm.read(f"{STORE}/number") == "2\n"


def test_settings_of_version_1(site: Site) -> None:
    """After a reboot the settings file names the attached disk, not the detached one."""
    vm, first, second = site.vm(), site.disk(), site.disk()
    for disk_cid in (first, second):
        site.cpi.ok("attach_disk", vm.cid, disk_cid, version=1)
    site.cpi.ok("detach_disk", vm.cid, first, version=1)
    site.cpi.ok("reboot_vm", vm.cid)
    assert in_settings(vm) == {second: f"/dev/{second}"}
    Agent(vm).start()
    assert Agent(vm).mount_disk(second) == STORE


def test_a_store_that_cannot_be_mounted(site: Site) -> None:
    """A VM whose store cannot be mounted stays down, and the error says what to do."""
    vm = site.vm()
    disk_cid = site.store(vm)
    Agent(vm).unmount_disk(disk_cid)
    vm.shell(f"dd if=/dev/zero of=/dev/{disk_cid} bs=64k count=4; sync")
    error = site.cpi.error("reboot_vm", vm.cid)
    assert error["type"] == CLOUD_ERROR
    assert disk_cid in error["message"]
    assert not vm.is_alive()
    assert site.cpi.ok("has_vm", vm.cid) is True
    assert disk_cid in site.cpi.error("reboot_vm", vm.cid)["message"]
    run("mkfs.ext4", "-q", "-F", f"/dev/{loop_of(site.image(disk_cid))}")
    site.cpi.ok("reboot_vm", vm.cid)
    assert Agent(vm).points(f"/dev/{disk_cid}") == [STORE]
