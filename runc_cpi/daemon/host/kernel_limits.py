"""Limits of the host's kernel that all VMs share, since root is one user in all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

# What some hundred VMs need (inotify(7), keyrings(7), proc(5)); the kernel's own values
# end at a dozen VMs with systemd.  operations/kernel-limits.conf has the same.
WANTED: Mapping[str, int] = {
    "fs.aio-max-nr": 1048576,
    "fs.inotify.max_user_instances": 8192,
    "fs.inotify.max_user_watches": 524288,
    "kernel.keys.maxbytes": 2000000,
    "kernel.keys.maxkeys": 2000,
    "kernel.pid_max": 4194304,
    # The neighbours of the host and of all VMs are in one table (arp(7)).
    "net.ipv4.neigh.default.gc_thresh2": 16384,
    "net.ipv4.neigh.default.gc_thresh3": 32768,
    "net.ipv6.neigh.default.gc_thresh2": 16384,
    "net.ipv6.neigh.default.gc_thresh3": 32768,
}
SYSCTLS = Path("/proc/sys")


def low(sysctls: Path = SYSCTLS) -> list[str]:
    """
    Name each limit that is below what is wanted, with both values.

    @param sysctls: where the kernel shows them.
    """
    found = []
    for name, wanted in WANTED.items():
        try:
            value = int((sysctls / name.replace(".", "/")).read_text("ascii"))
        except (FileNotFoundError, PermissionError):
            continue  # this kernel has no such limit, or keeps it from a container
        if value < wanted:
            found.append(f"{name} is {value} and should be {wanted}")
    return found
