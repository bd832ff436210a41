"""Room on the host: promised within limits, taken as configured, and watched."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.disks.site import MIB, NO_DISK_SPACE, STORE, Site, check
from tests.harness.agent import MIGRATION, Agent
from tests.harness.removals import HeldRemovals, removing


def is_empty(site: Site) -> bool:
    """Say whether there is no disk, finished or not."""
    return not any(os.listdir(site.daemon.work_dir / name) for name in ("disks", "scratch"))


def test_never_more_than_there_is(new_room: Callable[..., Site]) -> None:
    """By default no more is promised than could be written."""
    site = new_room("ext4", 200)
    error = site.cpi.error("create_disk", 1000, {}, None)
    assert error["type"] == NO_DISK_SPACE
    assert "1000 MiB" in error["message"]
    assert "disks.overcommit" in error["message"]
    assert is_empty(site)
    disks = [site.disk(50), site.disk(50)]
    assert site.cpi.error("create_disk", 100, {}, None)["type"] == NO_DISK_SPACE
    vm = site.vm()
    for disk_cid in disks:
        site.attach(vm, disk_cid)
        Agent(vm).mount_disk(disk_cid)
    for point in (STORE, MIGRATION):
        vm.shell(f"dd if=/dev/urandom of={point}/ballast bs=64k 2>/dev/null || sync")
    for disk_cid in disks:
        site.detach(vm, disk_cid)
        # No write was lost: the host had room for all of them.
        check(site.image(disk_cid))


def test_overcommit(new_room: Callable[..., Site]) -> None:
    """
    With overcommit more is promised, up to a limit; sparse disks take what is written.
    """
    site = new_room("ext4", 200, config={"disks": {"overcommit": 3}})
    disk_cid = site.disk(300)
    assert site.image(disk_cid).stat().st_size == 300 * MIB
    assert site.image(disk_cid).stat().st_blocks * 512 < 30 * MIB
    assert site.cpi.error("create_disk", 500, {}, None)["type"] == NO_DISK_SPACE


def test_full_allocation(new_room: Callable[..., Site]) -> None:
    """With full allocation a disk takes all its space at once, or is refused."""
    site = new_room("ext4", 200, config={"disks": {"allocation": "full", "overcommit": 9}})
    disk_cid = site.disk(64)
    assert site.image(disk_cid).stat().st_blocks * 512 >= 64 * MIB
    error = site.cpi.error("create_disk", 400, {}, None)
    assert error["type"] == NO_DISK_SPACE
    assert os.listdir(site.daemon.scratch) == []
    vm = site.vm()
    site.attach(vm, disk_cid)
    assert Agent(vm).mount_disk(disk_cid) == STORE


def test_a_warning_before_it_is_tight(new_room: Callable[..., Site]) -> None:
    """
    A warning that room gets tight is logged once, at the call that causes it and at a
    start.
    """
    site = new_room("ext4", 200)
    site.disk(50)
    assert "room gets tight" not in site.daemon.log
    disk_cid = site.disk(90)
    assert site.daemon.log.count("room gets tight") == 1
    site.disk(2)
    assert site.daemon.log.count("room gets tight") == 1
    site.daemon.stop()
    site.daemon.start()
    assert site.daemon.log.count("room gets tight") == 2
    site.cpi.ok("delete_disk", disk_cid)
    site.disk(2)
    site.disk(88)
    assert site.daemon.log.count("room gets tight") == 3


@pytest.mark.parametrize("size", [1, 2, 299])
def test_the_least(site: Site, size: int) -> None:
    """A disk that is too small for its file system is refused before anything is done."""
    site.daemon.wait_for_removals()
    error = site.cpi.error("create_disk", size, {"filesystem": "xfs"}, None)
    assert error["type"] == "Bosh::Clouds::CpiError"
    assert "300" in error["message"]
    assert is_empty(site)


def test_room_that_is_not_free_yet(new_room: Callable[..., Site], tmp_path: Path) -> None:
    """A disk is not refused while a removal may make room for it; another one is."""
    held = HeldRemovals(tmp_path / "bin")
    config = {"disks": {"allocation": "full"}}
    site = new_room("tmpfs", 200, config=config, path=held.path)
    site.cpi.ok("delete_disk", site.disk(100))
    call = site.cpi.start("create_disk", 100, {}, None)
    assert removing(site.daemon) == 1
    held.go_on()
    answer = site.cpi.finish(call)
    assert answer["error"] is None, answer
    assert site.cpi.error("create_disk", 100, {}, None)["type"] == NO_DISK_SPACE
