"""
The driver without loop devices: disks are directories, mounted into the VM by propagation.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.functional.disks.site import (
    CLOUD_ERROR,
    DISK_NOT_ATTACHED,
    NO_DISK_SPACE,
    NOT_SUPPORTED,
    Site,
    in_settings,
    processes,
)
from tests.harness.agent import STORE, Agent, AgentError
from tests.harness.lab import Lab, NewDaemon
from tests.harness.vm import VM

CONFIG = {"disks": {"driver": "directory"}}
# All devices a daemon needs, and no loop devices.
WITHOUT_LOOPS = """
mount -t tmpfs -o mode=755 tmpfs /dev
mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/zero c 1 5
mknod -m 666 /dev/random c 1 8; mknod -m 666 /dev/urandom c 1 9
exec "$@"
"""
HOST_WITHOUT_LOOPS = ("unshare", "--mount", "sh", "-ec", WITHOUT_LOOPS, "sh")


@pytest.fixture(scope="module")
def shared_site(lab: Lab, store_image: Path) -> object:
    """A daemon with the directory driver."""
    with lab.daemons() as lend:
        yield Site(lend(config=CONFIG), store_image).start()


def received(vm: VM) -> list[str]:
    """Return the disks that a VM has mounts of, anywhere."""
    return [mount.point for mount in Agent(vm).mounts() if "warden-cpi-dev/" in mount.point]


def test_life(new_daemon: NewDaemon, kind: str, image: Callable[[str], Path]) -> None:
    """
    A directory disk is attached to a running VM, used by the agent, and deleted without a
    trace.
    """
    site = Site(new_daemon(config=CONFIG), image(kind)).start()
    cpi, vm = site.cpi, site.vm()
    vm.wait_for_agent()
    agent = Agent(vm)
    assert agent.binds is True
    disk_cid = site.disk(64)
    hint = site.attach(vm, disk_cid)
    assert hint == f"/warden-cpi-dev/{disk_cid}"
    assert received(vm) == [hint]
    assert agent.list_disk() == [disk_cid]
    assert agent.mount_disk(disk_cid) == STORE
    vm.shell(f"echo kept >{STORE}/file")
    assert cpi.ok("attach_disk", vm.cid, disk_cid) == hint
    agent.unmount_disk(disk_cid)
    site.detach(vm, disk_cid)
    assert agent.list_disk() == received(vm) == []
    assert vm.attempt("test", "-e", f"{STORE}/file").returncode == 1
    assert vm.answer() == "agent-1"
    cpi.ok("delete_disk", disk_cid)
    assert os.listdir(site.daemon.work_dir / "disks") == []


def test_reboot(site: Site) -> None:
    """After a reboot a disk is where the agent had mounted it."""
    vm = site.vm()
    disk_cid, other = site.store(vm), site.disk()
    site.cpi.ok("attach_disk", vm.cid, other)
    vm.shell(f"echo kept >{STORE}/file")
    site.cpi.ok("reboot_vm", vm.cid)
    Agent(vm).start()
    assert vm.read(f"{STORE}/file") == "kept\n"
    assert len(received(vm)) == 2
    for cid in (disk_cid, other):
        site.detach(vm, cid)
    assert received(vm) == []


def test_unmounted_by_the_agent(site: Site) -> None:
    """A disk that the agent unmounted is there again when it is attached again."""
    vm = site.vm()
    disk_cid = site.store(vm)
    before = processes(vm)
    Agent(vm).unmount_disk(disk_cid)
    assert received(vm) == []
    hint = site.attach(vm, disk_cid)
    assert received(vm) == [hint]
    assert processes(vm) == before


def test_move(site: Site) -> None:
    """Data moves with the disk, and each VM sees its own disks only."""
    first, second = site.vm(), site.vm()
    disk_cid, other = site.store(first), site.store(second)
    first.shell(f"echo moved >{STORE}/file")
    error = site.cpi.error("attach_disk", second.cid, disk_cid)
    assert error["type"] == CLOUD_ERROR
    assert first.cid in error["message"]
    site.detach(first, disk_cid)
    assert received(first) == []
    hint = site.attach(second, disk_cid)
    assert second.read(f"{hint}/file") == "moved\n"
    assert sorted(site.cpi.ok("get_disks", second.cid)) == sorted([disk_cid, other])
    error = site.cpi.error("detach_disk", first.cid, disk_cid)
    assert error["type"] == DISK_NOT_ATTACHED
    site.cpi.ok("delete_vm", second.cid)
    assert site.cpi.ok("has_disk", disk_cid) is True
    site.attach(first, disk_cid)
    assert first.read(f"{hint}/file") == "moved\n"


def test_in_use(site: Site) -> None:
    """
    The error for a disk in use names the process; afterwards the disk can be detached.
    """
    vm = site.vm()
    disk_cid = site.store(vm)
    pid = vm.shell(f"cd {STORE}; sleep 1000 >/dev/null 2>&1 & echo $!").strip()
    error = site.cpi.error("detach_disk", vm.cid, disk_cid)
    assert error["ok_to_retry"] is True
    assert "sleep" in error["message"]
    assert site.cpi.ok("get_disks", vm.cid) == [disk_cid]
    vm.shell(f"kill -9 {pid}")
    site.cpi.ok("detach_disk", vm.cid, disk_cid)
    assert received(vm) == []


def test_the_daemon_restarts(new_site: Callable[..., Site]) -> None:
    """After a stop or a crash of the daemon the disk is there, and can be detached."""
    site = new_site(config=CONFIG)
    vm = site.vm()
    disk_cid = site.store(vm)
    vm.shell(f"echo kept >{STORE}/file")
    site.daemon.kill()
    site.daemon.start()
    assert vm.read(f"{STORE}/file") == "kept\n"
    site.detach(vm, disk_cid)
    assert received(vm) == []


def test_sizes(site: Site) -> None:
    """
    A directory disk can hold more than its size; a size beyond the host's room is refused.
    """
    disk_cid = site.disk(16)
    assert site.cpi.ok("resize_disk", disk_cid, 32) is None
    assert site.cpi.ok("update_disk", disk_cid, 48, {}) is None
    assert site.record(disk_cid)["size"] == 48
    assert site.cpi.error("resize_disk", disk_cid, 16)["type"] == NOT_SUPPORTED
    calls: list[tuple[Any, ...]] = [
        ("resize_disk", disk_cid, 1 << 27),
        ("create_disk", 1 << 27, {}, None),
    ]
    for call in calls:
        assert site.cpi.error(*call)["type"] == NO_DISK_SPACE
    site.vm({"ephemeral_disk_size": 16})
    assert "ephemeral_disk_size" in site.daemon.log


def test_snapshots(site: Site) -> None:
    """A snapshot is a copy of all files, of every kind."""
    vm = site.vm()
    disk_cid = site.store(vm)
    vm.shell(f"echo 1 >{STORE}/file; ln -s file {STORE}/link; ln {STORE}/file {STORE}/hard")
    snapshot_cid = site.cpi.ok("snapshot_disk", disk_cid, {})
    vm.shell(f"echo 2 >{STORE}/file")
    data = site.image(snapshot_cid).with_name("data")
    assert (data / "link").read_text() == "1\n"
    assert (data / "hard").stat().st_nlink == 2
    site.cpi.ok("delete_snapshot", snapshot_cid)
    assert not data.exists()


def test_version_1(site: Site) -> None:
    """In version 1 the settings file names the mount point."""
    vm, disk_cid = site.vm(), site.disk()
    assert site.cpi.ok("attach_disk", vm.cid, disk_cid, version=1) is None
    assert in_settings(vm) == {disk_cid: f"/warden-cpi-dev/{disk_cid}"}
    assert Agent(vm).mount_disk(disk_cid) == STORE


def test_agents_cannot_migrate(site: Site) -> None:
    """The agent cannot migrate in bind mode, as documented; so disks are grown instead."""
    vm = site.vm()
    site.store(vm)
    second = site.disk()
    site.attach(vm, second)
    Agent(vm).mount_disk(second)
    with pytest.raises(AgentError):
        Agent(vm).migrate_disk()


def test_disks_of_the_other_driver(new_site: Callable[..., Site]) -> None:
    """After a change of the driver old disks are kept, and refused by name."""
    site = new_site()
    vm, disk_cid = site.vm(), site.disk()
    site.daemon.stop()
    site.daemon.config.update(CONFIG)
    site.daemon.write_config()
    site.daemon.start()
    calls: list[tuple[Any, ...]] = [
        ("attach_disk", vm.cid, disk_cid),
        ("resize_disk", disk_cid, 32),
        ("snapshot_disk", disk_cid, {}),
    ]
    for call in calls:
        error = site.cpi.error(*call)
        assert error["type"] == NOT_SUPPORTED, call
        assert "driver image" in error["message"]
    assert site.cpi.ok("has_disk", disk_cid) is True
    assert json.loads(site.control("disks", "--output=json").stdout)["disks"]


def test_a_host_without_loop_devices(new_daemon: NewDaemon, store_image: Path) -> None:
    """Without loop devices the default driver does not start, and says what to change."""
    daemon = new_daemon()
    line = daemon.refusal(prefix=HOST_WITHOUT_LOOPS)
    assert "disks.driver: image needs loop devices" in line
    assert "disks.driver: directory" in line
    daemon.config.update(CONFIG)
    daemon.write_config()
    daemon.launch(prefix=HOST_WITHOUT_LOOPS)
    daemon.wait_until(lambda: "serving at" in daemon.log)
    site = Site(daemon, store_image)
    site.stemcell = daemon.create_stemcell(store_image)
    vm = site.vm()
    disk_cid = site.store(vm)
    vm.shell(f"echo 1 >{STORE}/file")
    site.detach(vm, disk_cid)
    assert received(vm) == []
