"""One disk, from creation to deletion, through all that can be done with it."""

from __future__ import annotations

import os
import time

import pytest

from tests.functional.disks.site import (
    MIB,
    NOT_SUPPORTED,
    STORE,
    Site,
    check,
    copied,
    looked_at,
    loop_of,
)
from tests.harness.agent import Agent
from tests.harness.vm import VM
from tests.harness.waiting import eventually

SIZES = {"ext4": (32, 48, 64), "xfs": (320, 340, 360)}
BLOCK = 64 * 1024
# Writes numbered files, and syncs each before the next.
WRITER = f"""
n=0
while [ -e /go ]; do
  n=$((n + 1))
  echo $n >{STORE}/draft && sync && mv {STORE}/draft {STORE}/number
  echo $n >/draft && mv /draft /written
done
"""


def can_grow_ext4_online() -> bool:
    """Say whether this machine has what the kernel needs to grow a mounted ext4."""
    with open("/proc/self/status", encoding="ascii") as file:
        (line,) = [line for line in file if line.startswith("CapEff")]
    return bool(int(line.split()[1], 16) >> 24 & 1)


def capacity(vm: VM) -> int:
    """Return the size in bytes of the store of a VM."""
    size, blocks = vm.run("stat", "-f", "-c", "%S %b", STORE).split()
    return int(size) * int(blocks)


def fill(vm: VM) -> int:
    """Write to the store until there is no room; return how many bytes were written."""
    script = (
        f"dd if=/dev/zero of={STORE}/ballast bs={BLOCK} 2>&1 || stat -c %s {STORE}/ballast"
    )
    *complaint, size = vm.shell(script).splitlines()
    assert "No space left on device" in " ".join(complaint)
    return int(size)


@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
def test_journey(site: Site, filesystem: str) -> None:
    """
    A disk is written, copied, grown, grown while mounted, moved, read, filled and deleted.
    """
    cpi, first, second = site.cpi, site.vm(), site.vm()
    small, medium, large = SIZES[filesystem]
    disk_cid = site.store(first, small, {"filesystem": filesystem})
    first.shell("touch /go")
    first.shell(f"({WRITER}) >/dev/null 2>&1 &")

    def written() -> int:
        return int(first.shell("cat /written 2>/dev/null || echo 0"))

    eventually(lambda: written() > 2, "something is written")
    room, before = capacity(first), written()
    snapshot_cid = cpi.ok("snapshot_disk", disk_cid, {"job": "db"})
    after = written()
    eventually(lambda: written() > after, "writing goes on")
    first.shell("rm /go")
    time.sleep(0.1)
    check(site.image(snapshot_cid), filesystem)
    with copied(site.image(snapshot_cid)) as copy, looked_at(copy, filesystem) as point:
        assert before <= int((point / "number").read_text()) <= after + 1

    Agent(first).unmount_disk(disk_cid)
    site.detach(first, disk_cid)
    assert cpi.ok("resize_disk", disk_cid, medium) is None
    site.attach(first, disk_cid)
    assert Agent(first).mount_disk(disk_cid) == STORE
    assert capacity(first) - room > (medium - small) * MIB * 0.9
    last = int(first.read(f"{STORE}/number"))

    grown = site.control("disk", "resize", disk_cid, str(large))
    if filesystem == "xfs" or can_grow_ext4_online():
        assert grown.returncode == 0, grown.stderr
        size = large
    else:
        assert "CAP_SYS_RESOURCE" in grown.stderr
        assert "detach" in grown.stderr
        assert cpi.error("resize_disk", disk_cid, large)["type"] == NOT_SUPPORTED
        assert site.image(disk_cid).stat().st_size == medium * MIB
        size = medium
    assert site.record(disk_cid)["size"] == size
    first.shell(f"echo still >{STORE}/used")

    site.detach(first, disk_cid)
    site.attach(second, disk_cid)
    assert Agent(second).mount_disk(disk_cid) == STORE
    assert int(second.read(f"{STORE}/number")) == last
    assert second.read(f"{STORE}/used") == "still\n"
    assert size * MIB * 0.7 < fill(second) <= size * MIB
    assert capacity(second) <= size * MIB

    site.detach(second, disk_cid)
    check(site.image(disk_cid), filesystem)
    assert loop_of(site.image(disk_cid)) is None
    cpi.ok("delete_disk", disk_cid)
    cpi.ok("delete_snapshot", snapshot_cid)
    site.daemon.wait_for_removals()
    for kind in ("disks", "snapshots"):
        assert os.listdir(site.daemon.work_dir / kind) == []
    for vm in (first, second):
        assert "/dev/disk-" not in vm.read("/proc/mounts")
