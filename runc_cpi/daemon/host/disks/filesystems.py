"""File systems that disks can have: how each is made, and how it grows."""

from __future__ import annotations

import fcntl
import os
import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from runc_cpi.errors import InvalidArgument

# ioctl(2) numbers, from fs/ext4/ext4.h and xfs_fs.h.
EXT4_IOC_RESIZE_FS = 0x40086610
XFS_IOC_FSGROWFSDATA = 0x4010586E
CORRECTED = (0, 1)  # exit statuses: nothing to do, or errors corrected (e2fsck(8))
XFS_INODE_PERCENT = 25  # what mkfs.xfs(8) chose, as it does below 1 TiB

MAKE_EXT4 = (
    *("mkfs.ext4", "-q", "-F", "-m", "0"),
    *("-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1"),
)
FIXED = "^resize_inode,64bit,metadata_csum,metadata_csum_seed"

# XFS grows only while mounted (xfs_growfs(8)); this mount goes with the shell, at the
# latest.  $1: the device, $2: any directory.
GROW_XFS = """
mount -t xfs -o nodev,nosuid -- "$1" "$2" || exit 1
xfs_growfs -d "$2"
status=$?
umount -- "$2"
exit $status
"""


@dataclass(frozen=True)
class Command:
    """
    A program to run.

    @ivar argv: its command line.
    @ivar good: the exit statuses that mean success.
    """

    argv: Sequence[str]
    good: Sequence[int] = (0,)


class FileSystem(ABC):
    """
    A kind of file system.

    @cvar name: what the configuration, records and mount(8) call it.
    @cvar least: the size of the smallest one, in MiB.
    @cvar programs: what is needed on the host.
    @cvar capability: what a process needs to grow a mounted one, if anything.
    @cvar grows_on_a_device: whether an unmounted one grows on a block device only.
    """

    name: ClassVar[str]
    least: ClassVar[int]
    programs: ClassVar[tuple[str, ...]]
    capability: ClassVar[str | None]
    grows_on_a_device: ClassVar[bool]

    def check_size(self, size: int) -> None:
        """
        @param size: MiB.
        @raise InvalidArgument: if this file system cannot be that small.
        """
        if size < self.least:
            raise InvalidArgument(
                f"size: {size} MiB; a disk with {self.name} has at least {self.least} MiB"
            )

    @abstractmethod
    def making(self, target: Path) -> Command:
        """Return what makes an empty file system in a file."""

    @abstractmethod
    def growing(self, target: Path, directory: Path) -> Sequence[Command]:
        """
        Return what grows an unmounted file system to the size of what it is on.

        @param target: the device, or, unless it L{grows_on_a_device}, the file.
        @param directory: where it may be mounted for that, in a namespace of its own.
        """

    def grow_mounted(self, mount: int, size: int) -> None:
        """
        Grow a mounted file system.

        @param mount: open on its root.
        @param size: bytes.
        @raise OSError: if the kernel refuses.
        """
        own = os.dup(mount)  # whoever waits for this may give it up
        try:
            self._resize(own, size // os.fstatvfs(own).f_bsize)
        finally:
            os.close(own)

    @abstractmethod
    def _resize(self, mount: int, blocks: int) -> None:
        """Have the kernel grow it to so many of its blocks."""


class Ext4(FileSystem):
    """Grows on a file as well as on a device, mounted or not (ext4(5), resize2fs(8))."""

    name = "ext4"
    least = 2
    programs = ("mkfs.ext4", "e2fsck", "resize2fs")
    capability = "CAP_SYS_RESOURCE"
    grows_on_a_device = False

    def making(self, target: Path) -> Command:
        """Reserve nothing for root; tables are written when they are needed."""
        return Command([*MAKE_EXT4, str(target)])

    def making_fixed(self, target: Path) -> Command:
        """
        Return what makes one that never grows, and may get another UUID.

        What it would need to grow is most of what is written: 4 MiB.
        """
        return Command([*MAKE_EXT4, "-O", FIXED, str(target)])

    def mending(self, target: Path) -> Command:
        """Return what replays the journal, and checks what is marked as broken."""
        return Command(["e2fsck", "-p", str(target)], good=CORRECTED)

    def growing(self, target: Path, directory: Path) -> Sequence[Command]:
        """Check it first, as resize2fs(8) demands."""
        checking = Command(["e2fsck", "-fp", str(target)], good=CORRECTED)
        return [checking, Command(["resize2fs", str(target)])]

    def _resize(self, mount: int, blocks: int) -> None:
        fcntl.ioctl(mount, EXT4_IOC_RESIZE_FS, struct.pack("<Q", blocks))


class Xfs(FileSystem):
    """Grows while it is mounted, and only then (xfs_growfs(8))."""

    name = "xfs"
    least = 300
    programs = ("mkfs.xfs", "xfs_growfs")
    capability = None
    grows_on_a_device = True

    def making(self, target: Path) -> Command:
        """Discard nothing: the file has no blocks yet."""
        return Command(["mkfs.xfs", "-q", "-f", "-K", str(target)])

    def growing(self, target: Path, directory: Path) -> Sequence[Command]:
        """Mount it where no other process sees it."""
        argv = ["unshare", "--mount", "--propagation=private", "sh", "-c", GROW_XFS]
        return [Command([*argv, "grow", str(target), str(directory)])]

    def _resize(self, mount: int, blocks: int) -> None:
        argument = struct.pack("<QII", blocks, XFS_INODE_PERCENT, 0)
        fcntl.ioctl(mount, XFS_IOC_FSGROWFSDATA, argument)


# Where each writes its mark, and which (ext4/super.c, xfs_format.h).
_MARKS = {"ext4": (1024 + 56, b"\x53\xef"), "xfs": (0, b"XFSB")}


def filesystem_in(image: Path) -> str | None:
    """
    Return what is in a file, or L{None} if it is none of L{FILESYSTEMS}.

    @raise OSError: if the file cannot be read.
    """
    with open(image, "rb") as file:
        start = file.read(2048)
    for name, (offset, mark) in _MARKS.items():
        if start[offset : offset + len(mark)] == mark:
            return name
    return None


EXT4 = Ext4()
FILESYSTEMS: Mapping[str, FileSystem] = {kind.name: kind for kind in (EXT4, Xfs())}
