"""How images are brought and unpacked: L{IArchiver}, L{IUpload} and L{IImages}."""

from __future__ import annotations

import os

from runc_cpi.daemon.base import parcels
from runc_cpi.daemon.stemcells.image_reference import ImageReference
from runc_cpi.daemon.stemcells.interfaces import IArchiver, IImages, IUpload
from runc_cpi.errors import StemcellRejected
from tests.behaviour.case import PROGRAM, HostCase


class ArchiverBehaviour(HostCase):
    """Images in a file, or in pieces."""

    interfaces = (IArchiver, IUpload)

    async def test_a_file_is_unpacked(self) -> None:
        """What is in an image file is in the target."""
        target = self.directory / "target"
        target.mkdir()
        parcel = parcels.pack(os.open(self.image, os.O_RDONLY))
        self.addCleanup(parcels.close, parcel)
        await self.archiver.unpack(parcel, target)
        self.assertTrue((target / PROGRAM).is_file())

    async def test_an_image_is_known_again(self) -> None:
        """A file is the same before it is unpacked and after, and so are its pieces."""
        targets = [self.directory / name for name in ("of a file", "of pieces")]
        for target in targets:
            target.mkdir()
        parcel = parcels.pack(os.open(self.image, os.O_RDONLY))
        self.addCleanup(parcels.close, parcel)
        upload = self.archiver.open(targets[1])
        await upload.write(self.image.read_bytes())
        content = await upload.finish()
        assert content.size is not None
        for sizes, found in (({content.size + 1}, None), ({content.size}, content)):
            self.assertEqual(await self.archiver.identify(parcel, sizes), found)
        self.assertEqual(await self.archiver.unpack(parcel, targets[0]), content)

    async def test_an_upload_is_unpacked(self) -> None:
        """What was written in pieces is in the target after C{finish}."""
        target = self.directory / "target"
        target.mkdir()
        upload = self.archiver.open(target)
        data = self.image.read_bytes()
        for start in range(0, len(data), 100_000):
            await upload.write(data[start : start + 100_000])
        await upload.finish()
        self.assertTrue((target / PROGRAM).is_file())

    async def test_an_upload_is_given_up(self) -> None:
        """After C{abort} nothing is in the way of the target's removal."""
        target = self.directory / "target"
        target.mkdir()
        upload = self.archiver.open(target)
        await upload.write(self.image.read_bytes()[:1000])
        await upload.abort()
        await self.trees.remove(target)
        self.assertFalse(target.exists())


class ImagesBehaviour(HostCase):
    """OCI images, from a reference to their files."""

    interfaces = (IImages,)

    async def fetch(self, digest: str | None) -> str:
        """Fetch the image to a new directory, and return its digest."""
        scratch = self.directory / "scratch"
        scratch.mkdir()
        return await self.images.fetch(ImageReference(self.reference, digest), scratch)

    async def test_an_image_is_fetched_and_unpacked(self) -> None:
        """C{fetch} returns the digest, and C{unpack} makes the target."""
        self.assertEqual(await self.fetch(None), self.digest)
        target = self.directory / "target"
        await self.images.unpack(self.directory / "scratch", target)
        self.assertTrue((target / PROGRAM).is_file())

    async def test_the_digest_that_is_wanted(self) -> None:
        """An image with the digest that is wanted is fetched."""
        self.assertEqual(await self.fetch(self.digest), self.digest)

    async def test_another_digest_than_is_wanted(self) -> None:
        """An image with another digest is refused."""
        with self.assertRaises(StemcellRejected):
            await self.fetch("sha256:" + "0" * 64)
