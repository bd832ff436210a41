"""Mounts and unmounts file systems, as the calling thread sees them."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from runc_cpi.daemon.host.libc import check, libc

# Flags of mount(2) and umount2(2), from linux/mount.h.
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8
MS_NOSUID_NODEV = 0b0110
MS_NOSUID_NODEV_NOEXEC = 0b1110
MS_REMOUNT = 1 << 5
MS_BIND = 1 << 12
MS_REC = 1 << 14
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20


def mount(source: str, target: str, filesystem: str) -> None:
    """
    Mount a block device.

    @raise OSError: as mount(2) says.
    """
    _mount(source, target, filesystem, 0)


def mount_harmless(source: str, target: str, filesystem: str, options: str) -> None:
    """
    Mount a block device of which no program gets rights and no node opens a device, as
    this thread sees it.

    An overlay on top is not bound by that.  Programs can be run: since Linux 6.7 an
    overlay would be bound.

    @raise OSError: as mount(2) says.
    """
    _mount(source, target, filesystem, MS_NOSUID_NODEV, options)


def mount_overlay(*, lower: Path, upper: Path, work: Path, target: Path) -> None:
    """
    Mount an overlay (overlayfs.rst).

    @raise OSError: as mount(2) says.
    """
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    _mount("overlay", str(target), "overlay", 0, options)


def mount_memory(target: str, size: int) -> None:
    """
    Mount a file system in memory (tmpfs(5)), for root alone.

    @param size: how many bytes its files may take.
    @raise OSError: as mount(2) says.
    """
    _mount("none", target, "tmpfs", MS_NOSUID_NODEV_NOEXEC, f"mode=0700,size={size}")


def bind(source: str, target: str) -> None:
    """
    Mount a directory in a second place.

    @raise OSError: as mount(2) says.
    """
    _mount(source, target, "none", MS_BIND)


def lift_bounds(path: str) -> None:
    """
    Let programs in a bind mount get rights, and nodes there open devices.

    @raise OSError: as mount(2) says.
    """
    _mount("none", path, "none", MS_BIND | MS_REMOUNT)


def make_writable(path: str) -> None:
    """
    Make a file of /proc writable that is below what is mounted read-only.

    @raise OSError: as mount(2) says.
    """
    bind(path, path)
    _mount("none", path, "none", MS_BIND | MS_REMOUNT | MS_NOSUID_NODEV_NOEXEC)


def make_file_system_writable(path: str, options: str) -> None:
    """
    Make a file system writable that was made read-only, in all places that it is mounted.

    @param path: where it is mounted.
    @param options: its own, which are to stay as they are.
    @raise OSError: as mount(2) says.
    """
    # Unless the flags of this mount are said again, it loses them.
    kept = os.statvfs(path).f_flag & MS_NOSUID_NODEV_NOEXEC
    _mount("none", path, "none", MS_REMOUNT | kept, options)


def share_root() -> None:
    """
    Share mounts with the namespaces that are made from this thread's from now on.

    @raise OSError: as mount(2) says.
    """
    check(libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_SHARED), None), "/")


def receive_all() -> None:
    """
    Receive mounts from where this thread's were copied from, and pass none back.

    @raise OSError: as mount(2) says.
    """
    check(libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_SLAVE), None), "/")


def _mount(
    source: str, target: str, filesystem: str, flags: int, options: str = ""
) -> None:
    names = [os.fsencode(name) for name in (source, target, filesystem)]
    check(libc.mount(*names, ctypes.c_ulong(flags), options.encode()), target)


def pivot(new: int) -> None:
    """
    Have this thread's mount namespace begin with another mount (pivot_root(2)).

    The former one is unmounted with all below it, even if it is in use.

    @param new: a descriptor of the mount, which is somewhere in the namespace.
    @raise OSError: as pivot_root(2) says.
    """
    os.fchdir(new)
    # The former one is put on top of the new one, where "." leads to the new one still.
    check(libc.pivot_root(b".", b"."), "pivot_root")
    check(libc.umount2(b"/", MNT_DETACH), "/")
    os.chdir("/")


def unmount(path: str) -> None:
    """
    Unmount what is at C{path}.

    @raise OSError: as umount2(2) says: C{EBUSY} if it is in use, C{EINVAL} if nothing is
        mounted there.
    """
    check(libc.umount2(os.fsencode(path), UMOUNT_NOFOLLOW), path)


def detach(path: str) -> None:
    """
    Unmount what is at C{path} even if it is in use (MNT_DETACH).

    @raise OSError: as umount2(2) says: C{EINVAL} if nothing is mounted there.
    """
    check(libc.umount2(os.fsencode(path), UMOUNT_NOFOLLOW | MNT_DETACH), path)
