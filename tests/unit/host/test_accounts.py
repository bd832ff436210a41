"""What is read from cgroups and interfaces, with v1 and with v2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runc_cpi.daemon.host.cgroups import accounts
from runc_cpi.daemon.host.cgroups.accounts import Account
from runc_cpi.daemon.host.meter import Meter
from runc_cpi.daemon.host.network.veth import host_interface
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.container import ContainerState

VM = "vm-01234567-89ab-cdef-0123-456789abcdef"
CGROUP = f"/daemon/{VM}"
V1 = {
    "cpu/cpu.cfs_quota_us": "150000",
    "cpu/cpu.cfs_period_us": "100000",
    "cpuacct/cpuacct.usage": "2500000000",
    "memory/memory.usage_in_bytes": "9000",
    "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 1000",
    "memory/memory.limit_in_bytes": "65536",
    "pids/pids.current": "7",
    "blkio/blkio.throttle.io_service_bytes_recursive": (
        "7:0 Read 100\n7:0 Write 20\n7:0 Total 120\n7:1 Read 1\nTotal 121"
    ),
}
V2 = {
    "cpu.stat": "usage_usec 2500000\nuser_usec 1",
    "cpu.max": "150000 100000",
    "memory.current": "9000",
    "memory.stat": "anon 1\ninactive_file 1000",
    "memory.max": "65536",
    "pids.current": "7",
    "io.stat": (
        "7:0 rbytes=500 wbytes=5\n8:0 rbytes=100 wbytes=20 rios=3\n"
        "8:16 rbytes=1 wbytes=0\n253:0 rbytes=70 wbytes=7"
    ),
}
ACCOUNT = Account(
    cpu_seconds=2.5,
    cpu_limit=1.5,
    memory=8000,
    memory_limit=65536,
    pids=7,
    read=101,
    written=20,
)

NOTHING = Account(
    cpu_seconds=None,
    cpu_limit=None,
    memory=None,
    memory_limit=None,
    pids=None,
    read=None,
    written=None,
)


def v1(root: Path, files: Mapping[str, str]) -> Path:
    """Write files of a cgroup in hierarchies of v1."""
    for name, content in files.items():
        controller, _, file = name.partition("/")
        directory = root / controller / CGROUP.lstrip("/")
        directory.mkdir(parents=True, exist_ok=True)
        (directory / file).write_text(content + "\n")
    return root


def v2(root: Path, files: Mapping[str, str]) -> Path:
    """Write files of a cgroup in the hierarchy of v2."""
    directory = root / CGROUP.lstrip("/")
    directory.mkdir(parents=True)
    (root / "cgroup.controllers").touch()
    for name, content in files.items():
        (directory / name).write_text(content + "\n")
    return root


def test_both_versions(tmp_path: Path) -> None:
    """The same is told with both; with v2, what is on another disk does not count."""
    assert accounts.reader(v1(tmp_path / "1", V1))(CGROUP) == ACCOUNT
    devices = tmp_path / "devices"
    for name in ("7:0/loop", "7:0/slaves", "8:0/slaves", "253:0/slaves/sda"):
        (devices / name).mkdir(parents=True)
    assert accounts.reader(v2(tmp_path / "2", V2), str(devices))(CGROUP) == ACCOUNT


def test_no_limits(tmp_path: Path) -> None:
    """What has no limit is told as that."""
    unlimited = {
        **V1,
        "cpu/cpu.cfs_quota_us": "-1",
        "memory/memory.limit_in_bytes": "9223372036854771712",
    }
    free = {**V2, "cpu.max": "max 100000", "memory.max": "max"}
    for root in (v1(tmp_path / "1", unlimited), v2(tmp_path / "2", free)):
        found = accounts.reader(root)(CGROUP)
        assert found is not None
        assert (found.cpu_limit, found.memory_limit) == (None, None)


def test_what_a_host_does_not_count(tmp_path: Path) -> None:
    """What is in no file is not known, and a cgroup that is missing is none."""
    root = v2(tmp_path / "2", {})
    assert accounts.reader(root)(CGROUP) == NOTHING
    assert accounts.reader(v1(tmp_path / "3", {"cpu/tasks": ""}))(CGROUP) == NOTHING
    idle = accounts.reader(v2(tmp_path / "4", {"io.stat": ""}))(CGROUP)
    assert idle is not None
    assert (idle.read, idle.written) == (0, 0)
    assert accounts.reader(root)("/daemon/vm-x") is None
    assert accounts.reader(v1(tmp_path / "1", {"x/y": ""}))(CGROUP) is None


def test_interfaces_and_disks(tmp_path: Path) -> None:
    """The bytes of all interfaces of a VM, and of the files of its disks, are added."""
    names = [host_interface(VM), host_interface(VM, 1), "eth0"]
    lines = [
        f"{name:>8}: {n}0 1 0 0 0 0 0 0 {n} 1 0 0 0 0 0 0"
        for n, name in enumerate(names, 1)
    ]
    interfaces = tmp_path / "dev"
    interfaces.write_text("\n".join(["Inter-|", " face |", *lines, ""]))
    bundle = Bundle(tmp_path / VM)
    bundle.path.mkdir()
    state = ContainerState(bundle=bundle, pid=1, cgroup=CGROUP)
    meter = Meter(v2(tmp_path / "cgroup", V2), interfaces)
    usage = meter.measure([state])[VM]
    assert (usage.sent, usage.received) == (30, 3)
    assert (usage.disk, usage.disk_limit) == (None, None)
    bundle.root_image.write_bytes(b"x" * 4096)
    with bundle.ephemeral.open("wb") as file:
        file.truncate(1 << 20)
    usage = meter.measure([state])[VM]
    assert usage.disk_limit == (1 << 20) + 4096
    assert usage.disk is not None
    assert usage.disk < usage.disk_limit
