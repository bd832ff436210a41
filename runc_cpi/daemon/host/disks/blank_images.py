"""
Images with an empty ext4 file system that never grows.

C{mkfs.ext4} makes the first of a size.  Others are written as that one was: what is not
zero of 20 GiB is 300 KiB.  C{mkfs.ext4} looks at each loop device of the host, which are as
many as VMs, and syncs the image four times.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from uuid import uuid4

from twisted.internet.threads import deferToThread

from runc_cpi.daemon.base.calls import spanned
from runc_cpi.daemon.base.locks import KeyedLock
from runc_cpi.daemon.base.units import MEBIBYTE
from runc_cpi.daemon.host.disks.filesystems import EXT4
from runc_cpi.daemon.host.disks.image_files import ImageFiles
from runc_cpi.daemon.host.disks.tools import Tools

SIZES = 4  # that are remembered
LARGEST = 4 << 20  # bytes of one that are
BLOCK = 4096  # bytes
# Superblocks (ext4.rst): where the first one is, and their fields, from their start.
FIRST = 1024
SUPERBLOCK = 1024  # bytes
MARK_AT, MARK = 56, b"\x53\xef"
# The UUID, and what the hashes of names in directories begin with: 16 bytes each.
UNIQUE_AT = (104, 236)
UNIQUE_SIZE = 16
CHECKSUM_AT = 1020
_CASTAGNOLI = 0x82F63B78  # the polynomial of CRC32C, its bits reversed


class BlankImages:
    """Makes images, and remembers those of the L{SIZES} that were asked for last."""

    def __init__(self, tools: Tools) -> None:
        self._tools, self._files = tools, ImageFiles(tools, full=False)
        # What is empty is of a size whose images hold too much.
        self._known: dict[int, Mapping[int, bytes]] = {}
        self._first = KeyedLock()

    @spanned("file system")
    async def create(self, image: Path, size: int) -> None:
        """
        Make a sparse file with an empty file system in it, which may not be synced yet.

        @param size: MiB.
        @raise NoDiskSpace: if there is no room for it.
        @raise CloudError: if the file system cannot be made.
        @raise OSError: if the file cannot be made or written.
        """
        if size not in self._known:
            async with self._first(f"file system of {size} MiB"):
                # Another call may have made the first one meanwhile.
                if size not in self._known:
                    await self._make(image, size)
                    self._remember(size, await deferToThread(content_of, image))
                    return
        known = self._known[size]
        self._remember(size, known)
        if known:
            await deferToThread(write, image, size * MEBIBYTE, known)
        else:
            await self._make(image, size)

    async def _make(self, image: Path, size: int) -> None:
        await self._files.extend(image, size)
        await self._tools.make(EXT4.making_fixed(image))

    def _remember(self, size: int, known: Mapping[int, bytes]) -> None:
        """Note what images of a size hold, as of the one that was asked for last."""
        self._known.pop(size, None)
        self._known[size] = known
        while len(self._known) > SIZES:
            del self._known[next(iter(self._known))]


def content_of(image: Path) -> dict[int, bytes]:
    """
    Return what an image holds but zeros, by the offset.

    @return: or nothing if more than L{LARGEST} would have to be read.
    @raise OSError: if it cannot be read.
    """
    found: dict[int, bytearray] = {}
    last = -1
    with image.open("rb", buffering=0) as file:
        extents = list(_extents(file.fileno()))
        if sum(map(len, extents)) * BLOCK > LARGEST:
            return {}
        for offset in chain.from_iterable(extents):
            block = os.pread(file.fileno(), BLOCK, offset)
            if not any(block):
                continue
            if last in found and last + len(found[last]) == offset:
                found[last] += block
            else:
                found[last := offset] = bytearray(block)
    return {offset: bytes(content) for offset, content in found.items()}


def _extents(fd: int) -> Iterator[range]:
    """Return where the blocks are that are no holes (lseek(2), SEEK_DATA)."""
    size, offset = os.fstat(fd).st_size, 0
    while offset < size:
        try:
            begin = os.lseek(fd, offset, os.SEEK_DATA)
        except OSError:
            return  # ENXIO: all that follows is a hole
        offset = os.lseek(fd, begin, os.SEEK_HOLE)
        yield range(begin - begin % BLOCK, offset, BLOCK)


def write(image: Path, size: int, content: Mapping[int, bytes]) -> None:
    """
    Make an image with a file system like another, which has a UUID of its own.

    @param size: bytes.
    @param content: what the other one holds.
    @raise OSError: if it cannot be made or written.
    """
    unique = [uuid4().bytes for _ in UNIQUE_AT]
    fd = os.open(image, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.truncate(size)
        for offset, data in content.items():
            file.seek(offset)
            file.write(data)
        for offset, superblock in _superblocks(content):
            file.seek(offset)
            file.write(_with(unique, superblock))


def _superblocks(content: Mapping[int, bytes]) -> Iterator[tuple[int, bytes]]:
    """Return the superblock and its copies, with their offsets."""
    unique = _unique(content[0][FIRST:])
    for offset, data in content.items():
        for start in range(0, len(data), SUPERBLOCK):
            found = data[start : start + SUPERBLOCK]
            if found[MARK_AT : MARK_AT + len(MARK)] == MARK and _unique(found) == unique:
                yield offset + start, found


def _unique(superblock: bytes) -> list[bytes]:
    return [superblock[at : at + UNIQUE_SIZE] for at in UNIQUE_AT]


def _with(unique: Sequence[bytes], superblock: bytes) -> bytes:
    """Return a superblock with what is unique changed, and the checksum of that."""
    changed = bytearray(superblock[:CHECKSUM_AT])
    for at, value in zip(UNIQUE_AT, unique, strict=True):
        changed[at : at + UNIQUE_SIZE] = value
    return bytes(changed) + _crc32c(changed).to_bytes(4, "little")


def _crc32c(data: bytes | bytearray) -> int:
    """Return the checksum of a superblock, which is not inverted (Checksums, ext4.rst)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc


def _entry(index: int) -> int:
    for _ in range(8):
        index = (index >> 1) ^ (_CASTAGNOLI if index & 1 else 0)
    return index


_TABLE = tuple(map(_entry, range(256)))
