"""No VM can make a file system read-only that the host and other VMs use as well."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runc_cpi.daemon.host.disks import mountinfo
from runc_cpi.daemon.host.shared_mounts import SHARED
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon

# Of each of these there is one file system, whoever mounts it.
KINDS = ("cgroup2", "devtmpfs")
# If it succeeds after all, it is undone at once: the whole machine suffers from it.
REMOUNT = """
mkdir /m
mount -t {kind} x /m
! mount -o remount,ro /m || mount -o remount,rw /m
"""
# A hierarchy of cgroups that is this daemon's alone, in the state that a VM has left it in.
# With cgroup v2 the runtime leaves it alone.
LEFT = (
    "umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && "
    "mount -t cgroup -o nosuid,none,name={name} own {point} && "
    'mount -o remount,ro {point} && exec "$@"'
)


def read_only(pid: int) -> list[str]:
    """Name where a process sees shared file systems that are read-only."""
    table = Path(f"/proc/{pid}/mountinfo").read_bytes()
    return [
        mount.point
        for mount in mountinfo.parse(table)
        if mount.filesystem in SHARED and mount.options.split(",")[0] == "ro"
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_vm_cannot(daemon: Daemon, tiny: Path, kind: str) -> None:
    """The kernel refuses a VM that wants it, and the daemon goes on making VMs."""
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell)
    tried = vm.attempt("/bin/sh", "-ec", REMOUNT.format(kind=kind))
    assert "busy" in tried.stderr, tried
    assert daemon.create_vm(stemcell).is_alive()


def test_a_start_puts_it_right(new_daemon: NewDaemon) -> None:
    """What a VM made read-only while no daemon ran is made writable, and stays so."""
    daemon = new_daemon()
    point = daemon.home / "own"
    point.mkdir()
    left = LEFT.format(name=daemon.cgroup, point=point)
    apart = ("unshare", "--mount", "--propagation", "slave", "sh", "-c", left, "left")
    daemon.launch(prefix=apart)
    daemon.wait_until(lambda: "serving at" in daemon.log)
    assert daemon.process is not None
    pid = daemon.process.pid
    assert f"{point} was read-only, and is writable again" in daemon.log
    assert read_only(pid) == []
    (line,) = (
        line
        for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
        if f" {point} " in line
    )
    assert " rw,nosuid" in line
    assert line.endswith(f"rw,name={daemon.cgroup}")
    again = subprocess.run(
        ["nsenter", f"--mount=/proc/{pid}/ns/mnt", "mount", "-o", "remount,ro", str(point)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "busy" in again.stderr, again
