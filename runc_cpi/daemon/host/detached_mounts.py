"""Mounts that are nowhere yet: made, given ids of a VM, and moved to their places."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The numbers of these system calls are the same on all architectures.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
# linux/mount.h and linux/fcntl.h
AT_FDCWD = -100
AT_NO_AUTOMOUNT, AT_EMPTY_PATH, AT_RECURSIVE = 0x800, 0x1000, 0x8000
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
FSOPEN_CLOEXEC = FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE = 1, 6
MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH = 0x04, 0x40
MOUNT_ATTR_NODEV = 0x00000004
MOUNT_ATTR_IDMAP = 0x00100000

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


@contextmanager
def of_directory(path: str | Path, *, recursive: bool = False) -> Iterator[int]:
    """
    Make a second mount of a directory or a file (open_tree(2)).

    Nothing is mounted by that where it waits for somebody to look (autofs(5)).

    @param recursive: whether to mount what is mounted below it as well.
    @return: its descriptor.  The mount goes with it, unless it is moved somewhere.
    @raise OSError: if the kernel refuses.
    """
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_NO_AUTOMOUNT
    flags |= AT_RECURSIVE if recursive else 0
    fd = _call(_OPEN_TREE, AT_FDCWD, os.fsencode(path), flags, what=str(path))
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def of_device(device: str, filesystem: str) -> Iterator[int]:
    """
    Mount a block device, whose own device nodes are not to be opened (fsopen(2)).

    @param filesystem: what is on it, such as C{ext4}.
    @return: the descriptor of the mount, which goes with it, unless it is moved somewhere.
    @raise OSError: if the kernel refuses.
    """
    opened = _call(_FSOPEN, filesystem.encode(), FSOPEN_CLOEXEC, what=filesystem)
    try:
        source, none = (b"source", device.encode()), None
        _call(_FSCONFIG, opened, FSCONFIG_SET_STRING, *source, 0, what=device)
        _call(_FSCONFIG, opened, FSCONFIG_CMD_CREATE, none, none, 0, what=device)
        fd = _call(_FSMOUNT, opened, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV, what=device)
    finally:
        os.close(opened)
    try:
        yield fd
    finally:
        os.close(fd)


def map_ids(mount: int, user_namespace: int) -> None:
    """
    Have a mount show files of user 0 as those of the namespace's user 0, and so on.

    On the file system they stay as they are (mount_setattr(2), MOUNT_ATTR_IDMAP).

    @param mount: the descriptor of a mount that is nowhere yet.
    @param user_namespace: a descriptor.
    @raise OSError: if the kernel, or the kind of file system, cannot do that.
    """
    attributes = _MountAttr(MOUNT_ATTR_IDMAP, 0, 0, user_namespace)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    arguments = (mount, b"", AT_EMPTY_PATH, ctypes.byref(attributes), size)
    _call(_MOUNT_SETATTR, *arguments, what="idmapped mount")


def move(mount: int, target: int) -> None:
    """
    Mount what was nowhere yet (move_mount(2)).

    @param target: a descriptor of the mount point, in the thread's mount namespace.
    @raise OSError: if the kernel refuses.
    """
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    _call(_MOVE_MOUNT, mount, b"", target, b"", flags, what="move_mount")


def _call(number: int, *arguments: object, what: str) -> int:
    # Whole numbers as the kernel's registers have them, and not as C's int.
    values = [
        ctypes.c_long(value) if isinstance(value, int) else value for value in arguments
    ]
    result: int = _libc.syscall(ctypes.c_long(number), *values)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), what)
    return result
