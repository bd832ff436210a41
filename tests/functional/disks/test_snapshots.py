"""Snapshots are consistent while the VM writes, and nothing stays frozen."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.disks.site import (
    CLOUD_ERROR,
    DISK_NOT_FOUND,
    NO_DISK_SPACE,
    Site,
    check,
    copied,
    looked_at,
    loop_of,
    run,
)
from tests.harness.agent import STORE, Agent
from tests.harness.vm import VM
from tests.harness.waiting import eventually


def snapshots(site: Site) -> list[str]:
    """Return the snapshots that there are."""
    return os.listdir(site.daemon.work_dir / "snapshots")


def content(site: Site, snapshot_cid: str, name: str) -> str:
    """Read a file of a snapshot."""
    with copied(site.image(snapshot_cid)) as copy, looked_at(copy) as point:
        return (point / name).read_text()


class Writer:
    """A process of a VM that writes to the store all the time, and counts its writes."""

    def __init__(self, vm: VM) -> None:
        self._vm = vm
        write = f"echo $n >>{STORE}/written; echo $n >/draft; mv /draft /count"
        loop = f"n=0; while :; do n=$((n + 1)); {write}; done"
        vm.shell(f"echo 0 >/count; ({loop}) >/dev/null 2>&1 &")

    def count(self) -> int:
        """Return how often it has written."""
        return int(self._vm.read("/count"))

    def is_frozen(self) -> bool:
        """Say whether its writes hang."""
        before = self.count()
        time.sleep(0.3)
        return self.count() == before

    def gets_on(self) -> None:
        """Wait until it has written once more."""
        before = self.count()
        eventually(lambda: self.count() > before, "the VM writes on")


def test_life(site: Site) -> None:
    """A snapshot has what was on the disk, outlives the disk, and can be deleted."""
    cpi, vm = site.cpi, site.vm()
    disk_cid = site.store(vm)
    vm.shell(f"echo 1 >{STORE}/number")
    mounted = cpi.ok("snapshot_disk", disk_cid, {"index": "0"})
    vm.shell(f"echo 2 >{STORE}/number")
    site.detach(vm, disk_cid)
    detached = cpi.ok("snapshot_disk", disk_cid, {})
    assert sorted(snapshots(site)) == sorted([mounted, detached])
    cpi.ok("delete_disk", disk_cid)
    for cid, number in ((mounted, "1\n"), (detached, "2\n")):
        check(site.image(cid))
        assert content(site, cid, "number") == number
    for cid in (mounted, detached, detached, "snapshot-none"):
        assert cpi.ok("delete_snapshot", cid) is None
    assert snapshots(site) == []
    assert cpi.error("snapshot_disk", disk_cid, {})["type"] == DISK_NOT_FOUND


def test_where_blocks_can_be_shared(new_room: Callable[..., Site]) -> None:
    """On XFS a snapshot freezes nothing, takes little space, and is as good."""
    site = new_room("xfs", 512)
    vm = site.vm()
    disk_cid = site.store(vm, 128)
    vm.shell(f"dd if=/dev/zero of={STORE}/large bs=1M count=64; echo 1 >{STORE}/n; sync")
    free = os.statvfs(site.daemon.work_dir).f_bavail
    snapshot_cid = site.cpi.ok("snapshot_disk", disk_cid, {})
    taken = (free - os.statvfs(site.daemon.work_dir).f_bavail) * 4096
    assert taken < 16 << 20
    vm.shell(f"rm {STORE}/n; sync")
    check(site.image(snapshot_cid))
    assert content(site, snapshot_cid, "n") == "1\n"


def test_mounted_out_of_sight(site: Site) -> None:
    """A disk that is mounted in a private mount namespace only is frozen as well."""
    vm, disk_cid = site.vm(), site.disk()
    site.attach(vm, disk_cid)
    busy = f"mount /dev/{disk_cid} {STORE}; while :; do echo 1 >>{STORE}/f; sync; done"
    vm.shell(f"unshare -m sh -c '{busy}' >/dev/null 2>&1 &")
    name = loop_of(site.image(disk_cid))
    written = Path("/sys/block", str(name), "stat")
    eventually(lambda: int(written.read_text().split()[4]) > 50, "it is written to")
    check(site.image(site.cpi.ok("snapshot_disk", disk_cid, {})))


def test_out_of_reach(site: Site) -> None:
    """A mounted disk under another mount cannot be frozen, so its snapshot is refused."""
    vm, disk_cid = site.vm(), site.disk()
    site.attach(vm, disk_cid)
    vm.shell(f"mkdir /d; mount /dev/{disk_cid} /d; mount -t tmpfs tmpfs /d")
    error = site.cpi.error("snapshot_disk", disk_cid, {})
    assert error["type"] == CLOUD_ERROR
    assert "/d" in error["message"]
    assert snapshots(site) == os.listdir(site.daemon.scratch) == []
    vm.shell("umount /d")
    check(site.image(site.cpi.ok("snapshot_disk", disk_cid, {})))


def test_a_host_without_room(new_room: Callable[..., Site]) -> None:
    """
    Without room the error has its type, nothing of the copy is left, and nothing is frozen.
    """
    site = new_room("tmpfs", 100, config={"disks": {"overcommit": 10}})
    vm = site.vm()
    disk_cid = site.store(vm, 64)
    vm.shell(f"dd if=/dev/urandom of={STORE}/large bs=1M count=50; sync")
    error = site.cpi.error("snapshot_disk", disk_cid, {})
    assert error["type"] == NO_DISK_SPACE
    assert snapshots(site) == os.listdir(site.daemon.scratch) == []
    vm.shell(f"rm {STORE}/large; sync")


def slow_copies(site: Site, directory: Path) -> None:
    """Make copies of frozen disks slow, and let them say that they began."""
    directory.mkdir()
    script = '#!/bin/sh\ncase "$*" in *always*--reflink=auto*)'
    script += f" touch {directory}/began; exec sleep 100;; esac\n"
    (directory / "cp").write_text(f'{script}PATH=/usr/bin:/bin exec cp "$@"\n')
    (directory / "cp").chmod(0o755)


@pytest.fixture
def slow(new_site: Callable[..., Site], tmp_path: Path) -> Site:
    """A daemon whose snapshots never end."""
    directory = tmp_path / "bin"
    limits = {"limits": {"finish_seconds": 1}}
    site = new_site(path=f"{directory}:{os.environ['PATH']}", config=limits)
    slow_copies(site, directory)
    return site


def test_killed_during_a_snapshot(slow: Site, tmp_path: Path) -> None:
    """
    If the daemon is killed during a snapshot, the VM writes on, and there is no snapshot.
    """
    vm = slow.vm()
    disk_cid = slow.store(vm)
    writer = Writer(vm)
    call = slow.cpi.start("snapshot_disk", disk_cid, {})
    eventually((tmp_path / "bin" / "began").exists, "the copy has begun")
    assert writer.is_frozen()
    slow.daemon.kill()
    assert slow.cpi.finish(call)["error"]["ok_to_retry"] is True
    writer.gets_on()
    (tmp_path / "bin" / "cp").unlink()
    slow.daemon.start()
    assert snapshots(slow) == []
    eventually(lambda: not os.listdir(slow.daemon.scratch), "scratch is swept")
    check(slow.image(slow.cpi.ok("snapshot_disk", disk_cid, {})))


@pytest.mark.long
def test_stopped_during_a_snapshot(slow: Site, tmp_path: Path) -> None:
    """If the daemon is stopped during a snapshot, the VM writes on."""
    vm = slow.vm()
    disk_cid = slow.store(vm)
    writer = Writer(vm)
    call = slow.cpi.start("snapshot_disk", disk_cid, {})
    eventually((tmp_path / "bin" / "began").exists, "the copy has begun")
    slow.daemon.stop()
    slow.cpi.finish(call)
    writer.gets_on()
    (tmp_path / "bin" / "cp").unlink()
    slow.daemon.start()
    assert snapshots(slow) == []
    eventually(lambda: not os.listdir(slow.daemon.scratch), "scratch is swept")


@pytest.mark.parametrize(
    "filesystem", ["ext4", pytest.param("xfs", marks=pytest.mark.long)]
)
def test_found_frozen(own_site: Site, filesystem: str) -> None:
    """A daemon that starts thaws a disk that it finds frozen."""
    site, vm = own_site, own_site.vm()
    size = 16 if filesystem == "ext4" else 300
    site.store(vm, size, {"filesystem": filesystem})
    writer = Writer(vm)
    site.daemon.kill()
    run("fsfreeze", "--freeze", f"/proc/{vm.pid}/root{STORE}")
    try:
        assert writer.is_frozen()
        site.daemon.start()
        writer.gets_on()
    finally:
        thaw = ["fsfreeze", "--unfreeze", f"/proc/{vm.pid}/root{STORE}"]
        subprocess.run(thaw, check=False, stderr=subprocess.DEVNULL)


def test_several_at_once(site: Site) -> None:
    """Several snapshots at once, of one disk and of others, are all whole."""
    vm = site.vm()
    disks = [site.store(vm), site.disk()]
    site.attach(vm, disks[1])
    Agent(vm).mount_disk(disks[1])
    writer = Writer(vm)
    calls = [site.cpi.start("snapshot_disk", cid, {}) for cid in disks * 2]
    answers = [site.cpi.finish(call) for call in calls]
    assert [answer["error"] for answer in answers] == [None] * len(calls)
    made = [answer["result"] for answer in answers]
    assert sorted(snapshots(site)) == sorted(made)
    for cid in made:
        check(site.image(cid))
    writer.gets_on()
