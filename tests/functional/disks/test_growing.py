"""resize_disk and update_disk: a disk grows with its data, or the call is refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.functional.disks.site import MIB, NOT_SUPPORTED, Site, check, loop_of
from tests.harness.agent import STORE, Agent
from tests.harness.vm import VM
from tests.harness.waiting import eventually

SIZES = {"ext4": (16, 40), "xfs": (300, 340)}


def capacity(vm: VM) -> int:
    """Return the size in bytes of the store of a VM."""
    size, blocks = vm.run("stat", "-f", "-c", "%S %b", STORE).split()
    return int(size) * int(blocks)


def is_as_large(site: Site, disk_cid: str, size: int) -> None:
    """Check that the record, the file and C{runc-cpictl} have the same size."""
    assert site.record(disk_cid)["size"] == size
    assert site.image(disk_cid).stat().st_size == size * MIB
    assert f"{size} MiB" in site.control("disks").stdout


@pytest.mark.parametrize(
    ("method", "filesystem"),
    [("resize_disk", "ext4"), ("resize_disk", "xfs"), ("update_disk", "ext4")],
)
def test_while_detached(site: Site, filesystem: str, method: str) -> None:
    """A detached disk grows, keeps its data, and has the room when it is attached again."""
    small, large = SIZES[filesystem]
    vm = site.vm()
    disk_cid = site.store(vm, small, {"filesystem": filesystem})
    vm.shell(f"echo kept >{STORE}/file")
    before = capacity(vm)
    site.detach(vm, disk_cid)
    more = [{"filesystem": filesystem}] if method == "update_disk" else []
    assert site.cpi.ok(method, disk_cid, large, *more) is None
    is_as_large(site, disk_cid, large)
    assert loop_of(site.image(disk_cid)) is None
    check(site.image(disk_cid), filesystem)
    site.attach(vm, disk_cid)
    Agent(vm).mount_disk(disk_cid)
    assert vm.read(f"{STORE}/file") == "kept\n"
    assert capacity(vm) - before > (large - small) * MIB * 0.9


@pytest.mark.parametrize("filesystem", SIZES)
def test_attached_and_not_mounted(site: Site, filesystem: str) -> None:
    """A disk that is attached but not mounted grows at once, and the VM can mount it."""
    small, large = SIZES[filesystem]
    vm, disk_cid = site.vm(), site.disk(small, {"filesystem": filesystem})
    hint = site.attach(vm, disk_cid)
    site.cpi.ok("resize_disk", disk_cid, large)
    is_as_large(site, disk_cid, large)
    assert int(vm.run("blockdev", "--getsize64", hint)) == large * MIB
    Agent(vm).mount_disk(disk_cid)
    # XFS uses much of a small disk for itself.
    assert capacity(vm) > small * MIB * 0.9


def test_after_a_crash_of_its_vm(site: Site) -> None:
    """The file system of a disk that was not unmounted is mended before it grows."""
    vm = site.vm()
    disk_cid = site.store(vm)
    vm.shell(f"echo kept >{STORE}/file; sync; echo late >{STORE}/late")
    os.kill(vm.pid, signal.SIGKILL)
    eventually(lambda: not vm.is_alive(), "the VM is down")
    site.cpi.ok("resize_disk", disk_cid, 40)
    site.cpi.ok("reboot_vm", vm.cid)
    assert vm.read(f"{STORE}/file") == "kept\n"
    assert capacity(vm) > 30 * MIB


def test_what_is_refused(site: Site) -> None:
    """
    To shrink a disk, to change its file system, or a bad size is refused; nothing changes.
    """
    cpi, disk_cid = site.cpi, site.disk(16)
    for call in (
        ("resize_disk", disk_cid, 15),
        ("update_disk", disk_cid, 15, {}),
        ("update_disk", disk_cid, 400, {"filesystem": "xfs"}),
    ):
        error = cpi.error(*call)
        # The Director then makes a new disk, and the agent copies.
        assert error["type"] == NOT_SUPPORTED, call
        assert disk_cid in error["message"]
    for size in (0, -1, 1.5, "20", None, True):
        assert cpi.error("resize_disk", disk_cid, size)["type"] == "Bosh::Clouds::CpiError"
    assert (
        cpi.error("resize_disk", disk_cid, 1 << 27)["type"] == "Bosh::Clouds::NoDiskSpace"
    )
    is_as_large(site, disk_cid, 16)
    assert cpi.ok("resize_disk", disk_cid, 16) is None


def test_properties(site: Site) -> None:
    """update_disk may change properties alone, and they are kept."""
    disk_cid = site.disk(16, {"type": "a"})
    assert site.cpi.ok("update_disk", disk_cid, 16, {"type": "b"}) is None
    assert site.record(disk_cid)["cloud_properties"] == {"type": "b"}
    is_as_large(site, disk_cid, 16)


def test_a_host_without_room(new_room: Callable[..., Site]) -> None:
    """Without room on the host the error has its type, and the disk is as it was."""
    site = new_room("ext4", 160)
    disk_cid = site.disk(16)
    error = site.cpi.error("resize_disk", disk_cid, 400)
    assert error["type"] == "Bosh::Clouds::NoDiskSpace"
    is_as_large(site, disk_cid, 16)
    check(site.image(disk_cid))


def test_full_allocation(new_site: Callable[..., Site]) -> None:
    """With full allocation the added space is allocated as well."""
    site = new_site(config={"disks": {"allocation": "full"}})
    disk_cid = site.disk(16)
    for size in (16, 40):
        site.cpi.ok("resize_disk", disk_cid, size)
        assert site.image(disk_cid).stat().st_blocks * 512 >= size * MIB
    assert site.cpi.ok("has_disk", disk_cid) is True
