"""Takes one thread into namespaces of a VM, and mounts things as that thread sees them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Flags of setns(2), unshare(2), mount(2) and umount2(2), from linux/sched.h and mount.h.
CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWNET = 0x40000000
KINDS = {CLONE_NEWNS: "mnt", CLONE_NEWIPC: "ipc", CLONE_NEWNET: "net"}
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8
MS_NOSUID_NODEV_NOEXEC = 0b1110
MS_REMOUNT = 1 << 5
MS_BIND = 1 << 12
MS_REC = 1 << 14
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def inside(pid: int, kind: int) -> Iterator[None]:
    """
    Take this thread, and no other, into a namespace of C{pid}, and back in the end.

    @param kind: L{CLONE_NEWIPC}, L{CLONE_NEWNET}, or L{CLONE_NEWNS} for a thread that
        L{unshare_fs} was called in.
    @raise OSError: if the process is gone, or the kernel refuses; the thread may be lost
        in the VM then, and must end.
    """
    name = KINDS[kind]
    home = os.open(f"/proc/thread-self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(there, kind), "setns")
        finally:
            os.close(there)
        try:
            yield
        finally:
            _check(_libc.setns(home, kind), "setns")
    finally:
        os.close(home)


def unshare_fs() -> None:
    """
    Give this thread a root and a working directory of its own.

    A thread without them may not change its mount namespace (setns(2)).

    @raise OSError: as unshare(2) says.
    """
    _check(_libc.unshare(CLONE_FS), "unshare")


def unshare_mounts() -> None:
    """
    Give this thread a mount namespace of its own, which the host's later mounts reach.

    The thread must have a root of its own (L{unshare_fs}).

    @raise OSError: as unshare(2) and mount(2) say.
    """
    _check(_libc.unshare(CLONE_NEWNS), "unshare")
    _check(_libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_SLAVE), None), "/")


def mount_overlay(*, lower: Path, upper: Path, work: Path, target: Path) -> None:
    """
    Mount an overlay (overlayfs.rst), as this thread sees it.

    @raise OSError: as mount(2) says.
    """
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    _mount("overlay", str(target), "overlay", 0, options)


def mount(source: str, target: str, filesystem: str) -> None:
    """
    Mount a block device, as this thread sees it.

    @raise OSError: as mount(2) says.
    """
    _mount(source, target, filesystem, 0)


def mount_memory(target: str, size: int) -> None:
    """
    Mount a file system in memory (tmpfs(5)), for root alone, as this thread sees it.

    @param size: how many bytes its files may take.
    @raise OSError: as mount(2) says.
    """
    _mount("none", target, "tmpfs", MS_NOSUID_NODEV_NOEXEC, f"mode=0700,size={size}")


def bind(source: str, target: str) -> None:
    """
    Mount a directory in a second place, as this thread sees both.

    @raise OSError: as mount(2) says.
    """
    _mount(source, target, "none", MS_BIND)


def make_writable(path: str) -> None:
    """
    Make a file of /proc writable that is below what is mounted read-only.

    @raise OSError: as mount(2) says.
    """
    bind(path, path)
    _mount("none", path, "none", MS_BIND | MS_REMOUNT | MS_NOSUID_NODEV_NOEXEC)


def share_root() -> None:
    """
    Share mounts with the namespaces that are made from this thread's from now on.

    @raise OSError: as mount(2) says.
    """
    _check(_libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_SHARED), None), "/")


def _mount(
    source: str, target: str, filesystem: str, flags: int, options: str = ""
) -> None:
    names = [os.fsencode(name) for name in (source, target, filesystem)]
    _check(_libc.mount(*names, ctypes.c_ulong(flags), options.encode()), target)


def unmount(path: str) -> None:
    """
    Unmount what is at C{path}, as this thread sees it.

    @raise OSError: as umount2(2) says: C{EBUSY} if it is in use, C{EINVAL} if nothing is
        mounted there.
    """
    _check(_libc.umount2(os.fsencode(path), UMOUNT_NOFOLLOW), path)


def detach(path: str) -> None:
    """
    Unmount what is at C{path} even if it is in use, as this thread sees it (MNT_DETACH).

    @raise OSError: as umount2(2) says: C{EINVAL} if nothing is mounted there.
    """
    _check(_libc.umount2(os.fsencode(path), UMOUNT_NOFOLLOW | MNT_DETACH), path)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
