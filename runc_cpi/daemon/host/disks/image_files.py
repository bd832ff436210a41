"""The files that disks of the image driver are, and how much of the host they take."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.threads import deferToThread

from runc_cpi.daemon.base.calls import spanned
from runc_cpi.daemon.base.units import MEBIBYTE
from runc_cpi.daemon.disks import paths
from runc_cpi.daemon.host.disks.filesystems import FileSystem
from runc_cpi.daemon.host.disks.tools import Tools
from runc_cpi.daemon.storage.bundle import Bundle

BLOCK = 512  # bytes; what st_blocks counts in (stat(2))


class ImageFiles:
    """
    Makes and extends the files.

    @param full: whether a file's space is taken when it is made, or as it is written.
    """

    def __init__(self, tools: Tools, *, full: bool) -> None:
        self._tools, self._full = tools, full

    @spanned("file system")
    async def create(self, image: Path, size: int, filesystem: FileSystem) -> None:
        """
        Make a file with an empty file system in it.

        @param size: MiB.
        @raise NoDiskSpace: if there is no room for it.
        @raise CloudError: if the file system cannot be made.
        @raise OSError: if the file cannot be made.
        """
        await self.extend(image, size)
        await self._tools.make(filesystem.making(image))

    async def extend(self, image: Path, size: int) -> None:
        """
        Make a file larger; one that is larger already stays as it is.

        @param size: MiB.
        @raise OSError: if there is no room for it.
        """
        await deferToThread(_extend, image, size * MEBIBYTE, self._full)


def _extend(image: Path, size: int, full: bool) -> None:
    fd = os.open(image, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if full:
            os.posix_fallocate(fd, 0, size)
        elif os.fstat(fd).st_size < size:
            # It may be larger already: its growth was cut off before it was recorded.
            os.truncate(fd, size)
        os.fsync(fd)
    finally:
        os.close(fd)


def allocated(directory: Path) -> int:
    """
    Say how many bytes a disk takes by now.

    @raise OSError: if there is no such disk.
    """
    return paths.image_of(directory).stat().st_blocks * BLOCK


def ephemeral_room(bundle: Path) -> int:
    """Say by how many bytes the file behind a VM's /var/vcap/data may still grow."""
    try:
        found = Bundle(bundle).ephemeral.stat()
    except OSError:
        return 0  # the VM has none, or is no VM
    return max(0, found.st_size - found.st_blocks * BLOCK)
