"""Bind mounts of the host, also in directories that a VM can write to."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from runc_cpi.daemon.host import mounting
from runc_cpi.daemon.host.disks import mountinfo, mounts
from runc_cpi.daemon.host.disks.mountinfo import Mount
from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.errors import DiskBusy


def bind(source: Path, point: Path) -> None:
    """
    Mount a directory at C{point}, in a directory that the VM can write to.

    It is made, and mounted on, by the descriptor of what it is in: the VM may put a link
    or something else in its place at any time.

    @raise OSError: if that is not possible.
    """
    with Tree.at(point.parent) as tree:
        tree.make_directories(point.name)
        target = tree.open(point.name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            mounting.bind(str(source), f"/proc/self/fd/{target}")
        finally:
            os.close(target)


def unmount(point: Path) -> None:
    """
    Unmount what is mounted at C{point}.

    @raise DiskBusy: if it is in use, or not mounted any more.
    """
    try:
        mounting.unmount(str(point))
    except OSError as error:
        raise DiskBusy(f"{point} cannot be unmounted: {error.strerror}") from None


def remove_point(point: Path) -> None:
    """
    Remove a mount point, but not what a VM put there in its place.

    @raise OSError: if that is not possible.
    """
    try:
        point.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY):
            raise


def points_below(path: Path) -> list[str]:
    """Return the mount points at and below C{path}, the last mounted first."""
    real = os.path.realpath(path)

    def below(mount: Mount) -> bool:
        return mount.point == real or mount.point.startswith(f"{real}/")

    return mounts.mount_points(os.getpid(), below)


def is_mounted(point: Path) -> bool:
    """Say whether something is mounted right at C{point}."""
    # The VM can put a link in its place.
    real = os.path.join(os.path.realpath(point.parent), point.name)
    return any(mount.point == real for mount in mountinfo.read(os.getpid()))


def mounts_of(directory: Path) -> Callable[[Mount], bool]:
    """Return what recognizes mounts of a directory of the host, or of a part of it."""
    real = os.path.realpath(directory)
    # The last of those with the longest name is what the directory is on.
    on = max(
        (mount for mount in mountinfo.read(os.getpid()) if _is_within(real, mount.point)),
        key=lambda mount: (len(mount.point), mount.number),
    )
    root = os.path.normpath(os.path.join(on.root, os.path.relpath(real, on.point)))

    def is_of_directory(mount: Mount) -> bool:
        return mount.device == on.device and _is_within(mount.root, root)

    return is_of_directory


def _is_within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")
