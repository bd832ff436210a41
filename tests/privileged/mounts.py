"""Mounts in a namespace of their own, like those that many VMs have on a host."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

from runc_cpi.daemon.host import mounting
from runc_cpi.daemon.host.disks import mountinfo
from runc_cpi.daemon.host.namespaces import unshare_fs, unshare_mounts
from runc_cpi.daemon.host.oci import other_mounts

SIZE = 1 << 20  # bytes
FEW = other_mounts.FEW


def in_a_namespace(work: Callable[[], None]) -> None:
    """Work in a mount namespace that ends with the thread that is in it."""
    with ThreadPoolExecutor(1, initializer=unshare_fs) as thread:
        thread.submit(unshare_mounts).result()
        thread.submit(work).result()


def seen(below: Path) -> set[str]:
    """Return where this thread sees mounts below a directory, or of the kernel."""
    with open("/proc/thread-self/mountinfo", "rb") as file:
        points = [place.point for place in mountinfo.places(file.read())]
    others = ("/proc", "/dev", "/sys", str(below))
    return {point for point in points if point == "/" or point.startswith(others)}


def mount(*path: object) -> Path:
    """Mount an empty file system in memory."""
    directory = Path(*map(str, path))
    directory.mkdir(parents=True, exist_ok=True)
    mounting.mount_memory(str(directory), SIZE)
    return directory


def make_many(vms: Path) -> set[str]:
    """
    Mount what is of other VMs, which is more than all else that this thread sees.

    One of them is being removed.

    @param vms: what is mounted beside is mounted by now.
    @return: where.
    """
    with open("/proc/thread-self/mountinfo", "rb") as file:
        count = max(FEW, len(file.readlines()) + 1)
    there = {str(mount(vms, f"vm-{uuid4()}", "layers")) for _ in range(count)}
    return {*there, str(mount(vms.parent, "scratch", f"old-{uuid4()}", "layers"))}
