"""Which process of a VM keeps a disk in use."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from runc_cpi.daemon.host.cgroups import hierarchies
from runc_cpi.printable import printable

NOBODY_KNOWN = "by a process that cannot be told"


def mount_holder(cgroup: str, point: str) -> str | None:
    """
    Name the process of a VM that uses what is mounted at C{point}, if that can be told.

    @param cgroup: the container's path in its hierarchies.
    """
    return _holder(cgroup, lambda handle: is_below(os.readlink(handle), point))


def device_holder(cgroup: str, number: int) -> str:
    """
    Name the process of a VM that has a block device open.

    @param cgroup: the container's path in its hierarchies.
    @param number: of the device, as C{st_rdev} has it.
    """
    return _holder(cgroup, lambda handle: _is_device(handle, number)) or NOBODY_KNOWN


def _holder(cgroup: str, holds: Callable[[str], bool]) -> str | None:
    """
    Name the first process of a VM that uses something.

    @param holds: takes the path of a link in C{/proc} to what a process uses, and says
        whether that is it.
    """
    for pid in sorted(hierarchies.processes(cgroup)):
        try:
            handles = [f"/proc/{pid}/{name}" for name in ("cwd", "root", "exe")]
            handles += [entry.path for entry in os.scandir(f"/proc/{pid}/fd")]
            if any(_quietly(holds, handle) for handle in handles):
                name = os.fsdecode(Path(f"/proc/{pid}/comm").read_bytes().rstrip(b"\n"))
                return f"by process {pid} ({printable(name, '')})"
        except OSError:
            continue
    return None


def _quietly(holds: Callable[[str], bool], handle: str) -> bool:
    try:
        return holds(handle)
    except OSError:
        return False  # closed meanwhile


def is_below(path: str, point: str) -> bool:
    """Say whether a path is at or below a mount point."""
    return path == point or path.startswith(point + "/")


def _is_device(handle: str, number: int) -> bool:
    # Nothing but devices is touched: other files could be of a hanging file system.
    if not os.readlink(handle).startswith("/dev/"):
        return False
    found = os.stat(handle)
    return stat.S_ISBLK(found.st_mode) and found.st_rdev == number
