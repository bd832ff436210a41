"""Attaching a disk: to a running VM, to one VM at a time, and told to the agent."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.disks.site import (
    CLOUD_ERROR,
    DISK_NOT_ATTACHED,
    DISK_NOT_FOUND,
    VM_NOT_FOUND,
    Site,
    in_settings,
    let_go,
    loop_of,
    processes,
    settled_processes,
)
from tests.harness.agent import STORE, Agent
from tests.harness.lab import NewDaemon
from tests.harness.vm import SETTINGS
from tests.harness.waiting import eventually


def test_life(new_daemon: NewDaemon, kind: str, image: Callable[[str], Path]) -> None:
    """A disk is made, attached, detached and deleted, and its VM runs on undisturbed."""
    site = Site(new_daemon(), image(kind)).start()
    cpi, vm = site.cpi, site.vm()
    vm.wait_for_agent()
    agent = Agent(vm)
    assert agent.binds is False
    if kind == "systemd":
        eventually(
            lambda: vm.attempt("systemctl", "is-system-running").stdout == "running\n",
            "systemd has started all",
            20,
        )
    before = settled_processes(vm)
    disk_cid = cpi.ok("create_disk", 16, {}, vm.cid)
    assert cpi.ok("has_disk", disk_cid) is True
    assert cpi.ok("get_disks", vm.cid) == []
    hint = cpi.ok("attach_disk", vm.cid, disk_cid)
    assert vm.run("stat", "-c", "%F", hint) == "block special file\n"
    assert cpi.ok("get_disks", vm.cid) == [disk_cid]
    assert cpi.ok("set_disk_metadata", disk_cid, {"job": "db"}) is None
    assert site.record(disk_cid)["metadata"] == {"job": "db"}
    assert "job=db" in site.control("disks").stdout
    agent.add_persistent_disk(disk_cid, hint)
    assert agent.list_disk() == []
    assert agent.mount_disk(disk_cid) == STORE
    assert agent.list_disk() == [disk_cid]
    vm.shell(f"echo kept >{STORE}/file && sync")
    assert cpi.ok("attach_disk", vm.cid, disk_cid) == hint
    assert vm.read(f"{STORE}/file") == "kept\n"
    agent.unmount_disk(disk_cid)
    agent.remove_persistent_disk(disk_cid)
    assert cpi.ok("detach_disk", vm.cid, disk_cid) is None
    assert vm.attempt("test", "-e", hint).returncode == 1
    assert cpi.ok("get_disks", vm.cid) == []
    eventually(lambda: processes(vm) == before, "only what ran before runs")
    assert vm.answer() == "agent-1"
    assert cpi.ok("delete_disk", disk_cid) is None
    assert cpi.ok("has_disk", disk_cid) is False
    assert cpi.ok("delete_disk", disk_cid) is None


def test_refusals(site: Site) -> None:
    """Each refusal has its type in the contract, and changes nothing."""
    cpi, vm, other = site.cpi, site.vm(), site.vm()
    disk_cid = site.disk()
    for method in ("attach_disk", "detach_disk"):
        assert cpi.error(method, "vm-none", disk_cid)["type"] == VM_NOT_FOUND
        assert cpi.error(method, vm.cid, "disk-none")["type"] == DISK_NOT_FOUND
    assert cpi.error("get_disks", "vm-none")["type"] == VM_NOT_FOUND
    for method, argument in (
        ("resize_disk", 20),
        ("snapshot_disk", {}),
        ("set_disk_metadata", {}),
    ):
        assert cpi.error(method, "disk-none", argument)["type"] == DISK_NOT_FOUND
    assert cpi.ok("has_disk", "disk-none") is False
    assert cpi.error("detach_disk", vm.cid, disk_cid)["type"] == DISK_NOT_ATTACHED
    hint = site.attach(vm, disk_cid)
    error = cpi.error("attach_disk", other.cid, disk_cid)
    assert error["type"] == CLOUD_ERROR
    assert vm.cid in error["message"]
    assert error["ok_to_retry"] is False
    assert other.attempt("test", "-e", hint).returncode == 1
    assert cpi.error("detach_disk", other.cid, disk_cid)["type"] == DISK_NOT_ATTACHED
    error = cpi.error("delete_disk", disk_cid)
    assert vm.cid in error["message"]
    assert cpi.ok("get_disks", vm.cid) == [disk_cid]
    assert cpi.ok("get_disks", other.cid) == []
    assert Agent(vm).mount_disk(disk_cid) == STORE
    error = cpi.error("delete_disk", disk_cid)
    assert error["type"] == CLOUD_ERROR
    assert vm.cid in error["message"]
    assert Agent(vm).list_disk() == [disk_cid]
    site.detach(vm, disk_cid)
    assert cpi.error("detach_disk", vm.cid, disk_cid)["type"] == DISK_NOT_ATTACHED
    for size in (0, -1, 1.5, "9", True, None):
        answer = cpi.error("create_disk", size, {}, None)
        assert answer["type"] == "Bosh::Clouds::CpiError", size
    cpi.error("create_disk", 16, {"filesystem": "vfat"}, None)


def test_nobody_else_may_open_it(site: Site) -> None:
    """Only the VM that has a disk can open its device, and only while it is attached."""
    vm, other, disk_cid = site.vm(), site.vm(), site.disk()
    site.attach(vm, disk_cid)
    name = loop_of(site.image(disk_cid))
    assert name is not None
    for each in (vm, other):
        each.shell(f"mknod /x b 7 {name.removeprefix('loop')}")
    read = ("dd", "if=/x", "of=/dev/null", "count=1")
    assert vm.attempt(*read).returncode == 0
    assert "not permitted" in other.attempt(*read).stderr
    site.detach(vm, disk_cid)
    assert "not permitted" in vm.attempt(*read).stderr


def test_options(new_site: Callable[..., Site]) -> None:
    """An operator can choose direct I/O and the file system of disks."""
    for direct_io, filesystem, size in ((True, "ext4", 16), (False, "xfs", 300)):
        disks = {"direct_io": direct_io, "filesystem": filesystem}
        site = new_site(config={"disks": disks})
        vm = site.vm()
        disk_cid = site.store(vm, size)
        name = loop_of(site.image(disk_cid))
        dio = Path("/sys/block", str(name), "loop", "dio").read_text().strip()
        assert dio == str(int(direct_io))
        (line,) = [line for line in vm.read("/proc/mounts").splitlines() if STORE in line]
        assert line.split()[2] == filesystem
        assert site.record(disk_cid)["filesystem"] == filesystem


def test_version_1(site: Site) -> None:
    """In version 1 attach_disk returns null, and the settings file names the VM's disks."""
    cpi, vm = site.cpi, site.vm()
    disks = [site.disk(), site.disk()]
    before = vm.run("stat", "-c", "%i %a", SETTINGS).split()
    # A process with the old file open sees the old content: it is never written in place.
    vm.shell(f"sleep 1000 <{SETTINGS} >/dev/null 2>&1 & echo $! >/holder")
    for number, disk_cid in enumerate(disks, 1):
        assert cpi.ok("attach_disk", vm.cid, disk_cid, version=1) is None
        assert len(in_settings(vm)) == number
    assert in_settings(vm) == {cid: f"/dev/{cid}" for cid in disks}
    after = vm.run("stat", "-c", "%i %a", SETTINGS).split()
    assert after[0] != before[0]
    assert after[1] == before[1]
    held = vm.shell("cat /proc/$(cat /holder)/fd/0")
    assert '"persistent": {}' in held
    for disk_cid in disks:
        cpi.ok("detach_disk", vm.cid, disk_cid, version=1)
    assert in_settings(vm) == {}
    assert vm.shell("ls -A /var/vcap/bosh").split() == sorted(
        ["agent.json", "warden-cpi-agent-env.json"]
    )


@pytest.mark.parametrize("version", [2, 3])
def test_hints_of_later_versions(site: Site, version: int) -> None:
    """
    In later versions the Director tells the agent, and the settings file stays as it is.
    """
    vm, disk_cid = site.vm(), site.disk()
    before = vm.run("stat", "-c", "%i", SETTINGS)
    hint = site.cpi.ok("attach_disk", vm.cid, disk_cid, version=version)
    assert hint == f"/dev/{disk_cid}"
    assert vm.run("stat", "-c", "%i", SETTINGS) == before
    assert in_settings(vm) == {}


def test_from_version_1_to_2(site: Site) -> None:
    """
    A disk that was attached in version 1 and detached in version 2 is not named any more.
    """
    vm, disk_cid = site.vm(), site.disk()
    assert site.cpi.ok("attach_disk", vm.cid, disk_cid, version=1) is None
    assert site.cpi.ok("attach_disk", vm.cid, disk_cid) == f"/dev/{disk_cid}"
    site.cpi.ok("detach_disk", vm.cid, disk_cid)
    assert in_settings(vm) == {}


def test_a_vm_that_is_halted(site: Site) -> None:
    """
    Disks are attached to and detached from a halted VM, which sees its disks when it boots.
    """
    vm, first, second = site.vm(), site.disk(), site.disk()
    site.attach(vm, first)
    os.kill(vm.pid, signal.SIGKILL)
    eventually(lambda: not vm.is_alive(), "the VM has halted")
    hint = site.cpi.ok("attach_disk", vm.cid, second, version=1)
    assert hint is None
    site.cpi.ok("detach_disk", vm.cid, first)
    assert site.cpi.ok("get_disks", vm.cid) == [second]
    site.cpi.ok("reboot_vm", vm.cid)
    assert list(in_settings(vm)) == [second]
    assert vm.attempt("test", "-e", f"/dev/{first}").returncode == 1
    vm.shell(f"mount /dev/{second} {STORE}")


def test_move(site: Site) -> None:
    """Data moves with the disk from one VM to another."""
    first, second = site.vm(), site.vm()
    disk_cid = site.store(first)
    first.shell(f"echo moved >{STORE}/file")
    site.detach(first, disk_cid)
    site.attach(second, disk_cid)
    Agent(second).mount_disk(disk_cid)
    assert second.read(f"{STORE}/file") == "moved\n"
    assert first.attempt("test", "-e", f"{STORE}/file").returncode == 1


def test_deletion_of_a_vm_keeps_its_disks(site: Site) -> None:
    """delete_vm with disks attached and in use loses no data."""
    vm, other = site.vm(), site.vm()
    disk_cid, second = site.store(vm), site.disk()
    site.attach(vm, second)
    assert Agent(vm).mount_disk(second) != STORE
    vm.shell(f"echo 1 >{STORE}/file; sync")
    # Written without sync, by a process that is killed with the VM.
    vm.shell(f"cd {STORE}; sleep 1000 >log 2>&1 & echo 2 >{STORE}/late")
    site.cpi.ok("delete_vm", vm.cid)
    for cid in (disk_cid, second):
        assert site.cpi.ok("has_disk", cid) is True
        assert loop_of(site.image(cid)) is None
        assert site.record(cid)["attached_to"] is None
    site.attach(other, disk_cid)
    Agent(other).mount_disk(disk_cid)
    assert other.shell(f"cat {STORE}/file {STORE}/late") == "1\n2\n"
    site.detach(other, disk_cid)
    for cid in (disk_cid, second):
        site.cpi.ok("delete_disk", cid)
    assert not list((site.daemon.work_dir / "disks").iterdir())


def test_a_work_dir_behind_a_link(new_site: Callable[..., Site], tmp_path: Path) -> None:
    """If work_dir is a symbolic link, the daemon still finds which disks are attached."""
    place = tmp_path / "place"
    place.mkdir()
    link = tmp_path / "link"
    link.symlink_to(place)
    site = new_site(config={"work_dir": str(link)})
    vm, disk_cid = site.vm(), site.disk()
    try:
        site.attach(vm, disk_cid)
        assert Agent(vm).mount_disk(disk_cid) == STORE
        site.detach(vm, disk_cid)
        assert Agent(vm).points(f"/dev/{disk_cid}") == []
        assert loop_of(site.image(disk_cid)) is None
    finally:
        vm.attempt("umount", STORE)
        let_go(site.image(disk_cid))
