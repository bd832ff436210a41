"""Images with an empty file system: the first of a size, and those that are like it."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.base.concurrency import side_by_side
from runc_cpi.daemon.base.units import MEBIBYTE
from runc_cpi.daemon.host.disks import blank_images
from runc_cpi.daemon.host.disks.blank_images import (
    LARGEST,
    SIZES,
    BlankImages,
    content_of,
    write,
)
from runc_cpi.daemon.host.disks.filesystems import EXT4, Command
from runc_cpi.daemon.host.disks.tools import Tools

GROUPS_OF_COPIES = (1, 3, 5, 7)
GROUP = 32768 * 4096  # bytes of a group of blocks


def made(image: Path, size: int) -> Path:
    """Have mkfs make an image."""
    with image.open("wb") as file:
        file.truncate(size * MEBIBYTE)
    subprocess.run(EXT4.making_fixed(image).argv, check=True)
    return image


def superblock(image: Path, offset: int = 1024) -> bytes:
    """Return a superblock of an image."""
    with image.open("rb") as file:
        file.seek(offset)
        return file.read(1024)


@pytest.mark.parametrize("size", [64, 1100, 20480])
def test_another_image_is_sound_and_has_a_uuid_of_its_own(
    tmp_path: Path, size: int
) -> None:
    """The checker of ext4 finds no fault in it, and what it holds is as in the first."""
    first, other = made(tmp_path / "first", size), tmp_path / "other"
    write(other, size * MEBIBYTE, content_of(first))
    subprocess.run(["e2fsck", "-fn", str(other)], check=True)
    assert other.stat().st_size == first.stat().st_size
    assert other.stat().st_blocks <= first.stat().st_blocks
    one, two = superblock(first), superblock(other)
    assert one[104:120] != two[104:120]
    assert one[236:252] != two[236:252]
    # The journal's own has no meaning (Journal, ext4.rst).
    held = b"".join(content_of(other).values())
    assert held.count(one[104:120]) == 1
    kept = (slice(104), slice(120, 236), slice(252, 1020))
    assert [one[part] for part in kept] == [two[part] for part in kept]


def test_copies_of_the_superblock_are_as_good(tmp_path: Path) -> None:
    """A file system whose superblock is lost is mended by one of its copies."""
    first, other = made(tmp_path / "first", 1100), tmp_path / "other"
    write(other, 1100 * MEBIBYTE, content_of(first))
    uuid = superblock(other)[104:120]
    for group in GROUPS_OF_COPIES:
        copy = superblock(other, group * GROUP)
        assert copy[104:120] == uuid
        assert struct.unpack_from("<H", copy, 90) == (group,)
    with other.open("r+b") as file:
        file.write(bytes(4096))
    check = ["e2fsck", "-fy", "-b", "32768", "-B", "4096", str(other)]
    assert subprocess.run(check, check=False).returncode == 1  # mended
    assert superblock(other)[104:120] == uuid


def test_what_is_there_is_written_over(tmp_path: Path) -> None:
    """A file that an interrupted call left does no harm."""
    first, other = made(tmp_path / "first", 64), tmp_path / "other"
    other.write_bytes(b"x" * (65 * MEBIBYTE))
    write(other, 64 * MEBIBYTE, content_of(first))
    subprocess.run(["e2fsck", "-fn", str(other)], check=True)


def test_what_is_too_large_is_not_remembered(tmp_path: Path) -> None:
    """Nothing is returned of an image that holds much."""
    large = tmp_path / "large"
    large.write_bytes(b"x" * (LARGEST + 1))
    assert content_of(large) == {}


class Mkfs(Tools):
    """Counts the file systems that are made, and makes real ones."""

    def __init__(self) -> None:
        self.made = 0

    async def make(self, command: Command) -> None:
        """Run the program in a thread, so that others may come meanwhile."""
        self.made += 1
        await deferToThread(subprocess.run, command.argv, check=True)


class BlankImagesTests(TestCase):
    """One program is run for each size, however the images are asked for."""

    timeout = 60

    def setUp(self) -> None:
        self.mkfs = Mkfs()
        self.images = BlankImages(self.mkfs)
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.count = 0

    async def make(self, *sizes: int) -> int:
        """Make images at once, check them, and return how many programs it took so far."""
        images = []
        for size in sizes:
            self.count += 1
            images.append((self.directory / f"image{self.count}", size))
        await side_by_side(*(self.images.create(*image) for image in images))
        for image, size in images:
            self.assertEqual(image.stat().st_size, size * MEBIBYTE)
            subprocess.run(["e2fsck", "-fn", str(image)], check=True)
        self.assertEqual(len({superblock(path)[104:120] for path, _ in images}), len(sizes))
        return self.mkfs.made

    async def test_one_after_the_other(self) -> None:
        """The second is like the first, with a UUID of its own."""
        self.assertEqual(await self.make(64), 1)
        self.assertEqual(await self.make(64), 1)

    async def test_many_at_once(self) -> None:
        """They wait for the first, and later ones do not wait for each other."""
        self.assertEqual(await self.make(*[64] * 8), 1)
        self.assertEqual(await self.make(*[64] * 8), 1)

    async def test_more_sizes_than_are_remembered(self) -> None:
        """The one that was asked for least lately is forgotten."""
        sizes = [64 + number for number in range(SIZES)]
        for count, size in enumerate(sizes, 1):
            self.assertEqual(await self.make(size), count)
        self.assertEqual(await self.make(64), SIZES)
        self.assertEqual(await self.make(99), SIZES + 1)
        self.assertEqual(await self.make(64, 99, *sizes[2:]), SIZES + 1)
        self.assertEqual(await self.make(sizes[1]), SIZES + 2)

    async def test_a_size_whose_images_hold_too_much(self) -> None:
        """Each of them is made by a program, and none waits for another."""
        self.patch(blank_images, "LARGEST", 0)
        self.assertEqual(await self.make(64), 1)
        self.assertEqual(await self.make(64, 64), 3)

    async def test_a_first_one_that_fails(self) -> None:
        """The next one is the first."""
        nowhere = self.directory / "none" / "image"
        with self.assertRaises(FileNotFoundError):
            await self.images.create(nowhere, 64)
        self.assertEqual(await self.make(64, 64), 1)
