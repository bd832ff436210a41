"""What the kernel counts in a cgroup, with v1 and with v2."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runc_cpi.daemon.host.cgroups import hierarchies

# v1 has a number for no limit, which is less by a page or so than this.
NO_LIMIT = 1 << 62
NANOSECONDS, MICROSECONDS = 1e9, 1e6  # in a second


@dataclass(frozen=True, kw_only=True)
class Account:
    """
    What is counted in a cgroup and those below it.

    @ivar cpu_seconds: time of processors.
    @ivar cpu_limit: how many processors it may use at a time, or L{None} for all.
    @ivar memory: bytes, without copies of files that the kernel can drop at once.
    @ivar memory_limit: bytes, or L{None} for no limit.
    @ivar pids: processes and threads.
    @ivar read: bytes from block devices.
    @ivar written: bytes to block devices.
    """

    cpu_seconds: float
    cpu_limit: float | None
    memory: int
    memory_limit: int | None
    pids: int
    read: int
    written: int


def read(cgroup: str, root: Path = hierarchies.ROOT) -> Account | None:
    """
    Read what is counted in a cgroup.

    What a host does not count is 0.

    @param cgroup: its path in the hierarchies.
    @return: or L{None} if there is no such cgroup.
    """
    name = cgroup.lstrip("/")
    if hierarchies.are_unified(root):
        return _read_v2(f"{root}/{name}")
    return _read_v1(lambda controller: f"{root}/{controller}/{name}")


# Paths are texts here: there may be hundreds of VMs to read at once.
def _read_v2(top: str) -> Account | None:
    """Read the files of cgroup-v2.rst."""
    if not os.path.isdir(top):
        return None
    stat, moved = _text(f"{top}/memory.stat"), _text(f"{top}/io.stat")
    quota, _, period = _text(f"{top}/cpu.max").partition(" ")
    return Account(
        cpu_seconds=_field(_text(f"{top}/cpu.stat"), "usage_usec") / MICROSECONDS,
        cpu_limit=int(quota) / int(period) if quota.isdigit() else None,
        memory=_in_use(_number(f"{top}/memory.current"), _field(stat, "inactive_file")),
        memory_limit=_limit(f"{top}/memory.max"),
        pids=_number(f"{top}/pids.current"),
        read=_all(r"rbytes=(\d+)", moved),
        written=_all(r"wbytes=(\d+)", moved),
    )


def _read_v1(of: Callable[[str], str]) -> Account | None:
    """Read the files of memory.rst, cpuacct.rst, blkio-controller.rst and so on."""
    memory, cpu = of("memory"), of("cpu")
    if not any(map(os.path.isdir, (memory, cpu))):
        return None
    stat = _text(f"{memory}/memory.stat")
    quota = _text(f"{cpu}/cpu.cfs_quota_us")
    period = _number(f"{cpu}/cpu.cfs_period_us")
    moved = _text(f"{of('blkio')}/blkio.throttle.io_service_bytes_recursive")
    return Account(
        cpu_seconds=_number(f"{of('cpuacct')}/cpuacct.usage") / NANOSECONDS,
        cpu_limit=int(quota) / period if quota.isdigit() and period else None,
        memory=_in_use(
            _number(f"{memory}/memory.usage_in_bytes"), _field(stat, "total_inactive_file")
        ),
        memory_limit=_limit(f"{memory}/memory.limit_in_bytes"),
        pids=_number(f"{of('pids')}/pids.current"),
        read=_all(r"Read (\d+)", moved),
        written=_all(r"Write (\d+)", moved),
    )


def _in_use(memory: int, droppable: int) -> int:
    # The two are not read in the same moment.
    return max(0, memory - droppable)


def _limit(path: str) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() and int(text) < NO_LIMIT else None


def _number(path: str) -> int:
    text = _text(path)
    return int(text) if text.isdigit() else 0


def _field(text: str, name: str) -> int:
    found = re.search(rf"^{name} (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else 0


def _all(pattern: str, text: str) -> int:
    numbers: Iterable[str] = re.findall(pattern, text)
    return sum(map(int, numbers))


def _text(path: str) -> str:
    """Return what a file holds, or nothing if it is not there."""
    with suppress(OSError), open(path, "rb", buffering=0) as file:
        return file.read().decode("ascii").strip()
    return ""
