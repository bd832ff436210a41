"""What the kernel counts in a cgroup, with v1 and with v2."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runc_cpi.daemon.host.cgroups import hierarchies

# v1 has a number for no limit, which is less by a page or so than this.
NO_LIMIT = 1 << 62
DEVICES = "/sys/dev/block"
MOST = 1 << 16  # bytes of a file; memory.stat has some 2,000
NANOSECONDS, MICROSECONDS = 1e9, 1e6  # in a second


@dataclass(frozen=True, kw_only=True)
class Account:
    """
    What is counted in a cgroup and those below it; what a host does not count is L{None}.

    @ivar cpu_seconds: time of processors.
    @ivar cpu_limit: how many processors it may use at a time, or L{None} for all.
    @ivar memory: bytes, without copies of files that the kernel can drop at once.
    @ivar memory_limit: bytes, or L{None} for no limit.
    @ivar pids: processes and threads.
    @ivar read: bytes from block devices.  With v2 only those count that are on no other:
        what a loop device is given, the disk below it is given as well.
    @ivar written: bytes to these.
    """

    cpu_seconds: float | None
    cpu_limit: float | None
    memory: int | None
    memory_limit: int | None
    pids: int | None
    read: int | None
    written: int | None


def reader(
    root: Path = hierarchies.ROOT, devices: str = DEVICES
) -> Callable[[str], Account | None]:
    """
    Return what reads what is counted in a cgroup.

    It takes the cgroup's path in the hierarchies, and returns L{None} if there is none.

    @param devices: where the kernel tells of block devices by their numbers.
    """
    if hierarchies.are_unified(root):
        return lambda cgroup: _read_v2(f"{root}/{cgroup.lstrip('/')}", devices)
    return lambda cgroup: _read_v1(root, cgroup.lstrip("/"))


# Paths are texts here: there may be hundreds of VMs to read at once.
def _read_v2(top: str, devices: str) -> Account | None:
    """Read the files of cgroup-v2.rst."""
    if not os.path.isdir(top):
        return None
    stat = _text(f"{top}/memory.stat")
    quota, _, period = (_text(f"{top}/cpu.max") or "").partition(" ")
    moved = _of_disks(_text(f"{top}/io.stat"), devices)
    return Account(
        cpu_seconds=_per(_field(_text(f"{top}/cpu.stat"), "usage_usec"), MICROSECONDS),
        cpu_limit=int(quota) / int(period) if quota.isdigit() else None,
        memory=_in_use(_number(f"{top}/memory.current"), _field(stat, "inactive_file")),
        memory_limit=_limit(f"{top}/memory.max"),
        pids=_number(f"{top}/pids.current"),
        read=_all(r"rbytes=(\d+)", moved),
        written=_all(r"wbytes=(\d+)", moved),
    )


def _read_v1(root: Path, name: str) -> Account | None:
    """Read the files of memory.rst, cpuacct.rst, blkio-controller.rst and so on."""
    memory, cpu = f"{root}/memory/{name}", f"{root}/cpu/{name}"
    if not any(map(os.path.isdir, (memory, cpu))):
        return None
    stat = _text(f"{memory}/memory.stat")
    quota = _number(f"{cpu}/cpu.cfs_quota_us")
    period = _number(f"{cpu}/cpu.cfs_period_us")
    moved = _text(f"{root}/blkio/{name}/blkio.throttle.io_service_bytes_recursive")
    return Account(
        cpu_seconds=_per(_number(f"{root}/cpuacct/{name}/cpuacct.usage"), NANOSECONDS),
        cpu_limit=quota / period if quota is not None and period else None,
        memory=_in_use(
            _number(f"{memory}/memory.usage_in_bytes"), _field(stat, "total_inactive_file")
        ),
        memory_limit=_limit(f"{memory}/memory.limit_in_bytes"),
        pids=_number(f"{root}/pids/{name}/pids.current"),
        read=_all(r"Read (\d+)", moved),
        written=_all(r"Write (\d+)", moved),
    )


def _of_disks(text: str | None, devices: str) -> str | None:
    """Return the lines of io.stat about devices that are on no other."""
    if text is None:
        return None
    lines = text.splitlines()
    return "\n".join(line for line in lines if not _is_stacked(line, devices))


def _is_stacked(line: str, devices: str) -> bool:
    """Say whether a line is about a loop device, or one of LVM or a RAID."""
    device = f"{devices}/{line.partition(' ')[0]}"
    with suppress(OSError):
        return os.path.exists(f"{device}/loop") or bool(os.listdir(f"{device}/slaves"))
    return False


def _per(count: int | None, unit: float) -> float | None:
    return None if count is None else count / unit


def _in_use(memory: int | None, droppable: int | None) -> int | None:
    # The two are not read in the same moment.
    return None if memory is None else max(0, memory - (droppable or 0))


def _limit(path: str) -> int | None:
    limit = _number(path)
    return limit if limit is not None and limit < NO_LIMIT else None


def _number(path: str) -> int | None:
    text = _text(path) or ""
    return int(text) if text.isdigit() else None


def _field(text: str | None, name: str) -> int | None:
    found = re.search(rf"^{name} (\d+)$", text or "", re.MULTILINE)
    return int(found[1]) if found else None


def _all(pattern: str, text: str | None) -> int | None:
    return None if text is None else sum(map(int, re.findall(pattern, text)))


def _text(path: str) -> str | None:
    """
    Return what a file holds, or L{None} if it cannot be read.

    The kernel gives such a file whole, and a file object would take twice as long.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(fd, MOST).decode("ascii").strip()
    except OSError:
        return None
    finally:
        os.close(fd)
