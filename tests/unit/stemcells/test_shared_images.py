"""Stemcells of the same image: it is unpacked once, and goes with the last of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from twisted.internet.defer import Deferred

from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.stemcells.content import Content
from runc_cpi.daemon.stemcells.features import inspect
from runc_cpi.errors import CloudError, StemcellRejected
from tests.fakes.stemcells import DIGEST, IMAGE
from tests.unit.stemcells.case import SIZE, StemcellsCase


class SharedImageTests(StemcellsCase):
    """An image that is there already, or is named, or is damaged."""

    async def test_the_same_image_again(self) -> None:
        """It is not unpacked again, and its files stay until no stemcell is made of it."""
        first = await self.stemcells.create(self.image, {"name": "a"})
        self.script.done.clear()
        second = await self.stemcells.create(self.image, {"name": "b"})
        self.assertEqual(self.script.done, ["identify"])
        self.assertEqual(first.rootfs, second.rootfs)
        self.assertEqual(
            {each.cid for each in self.loaded().all()}, {first.cid, second.cid}
        )
        await self.stemcells.delete(first.cid)
        self.assertTrue(second.rootfs.is_dir())
        await self.stemcells.delete(second.cid)
        self.assert_nothing_left()

    async def test_the_same_image_after_a_start(self) -> None:
        """Who uses an image follows from the records of the stemcells."""
        first = await self.stemcells.create(self.image, {})
        self.stemcells = self.loaded()
        self.script.done.clear()
        second = await self.stemcells.create(self.image, {})
        self.assertEqual(self.script.done, ["identify"])
        self.stemcells = self.loaded()
        await self.stemcells.delete(first.cid)
        await self.stemcells.sweep(Repairs())
        self.assertTrue(second.rootfs.is_dir())

    async def test_the_same_image_at_once(self) -> None:
        """Of two that are unpacked at the same time one is kept."""
        uploads = [self.stemcells.open_upload({}) for _ in range(2)]
        stemcells = [await upload.finish() for upload in uploads]
        self.assertEqual(len({each.rootfs for each in stemcells}), 1)
        self.assertEqual(len(os.listdir(self.depot.images)), 1)
        self.assertEqual(os.listdir(self.depot.scratch), [])

    async def test_an_upload_that_is_named(self) -> None:
        """If its image is unpacked, its stemcell is made without its bytes."""
        first = await self.stemcells.create(self.image, {})
        self.assertTrue(self.stemcells.has_image_of(SIZE))
        self.script.done.clear()
        upload = self.stemcells.open_upload({"name": "x"})
        second = await upload.name(IMAGE)
        assert second is not None
        self.assertEqual((second.rootfs, second.features), (first.rootfs, first.features))
        self.assertEqual(self.loaded().get(second.cid), second)
        self.assertEqual(self.script.done, [])
        self.assertEqual(os.listdir(self.depot.scratch), [])
        await self.stemcells.delete(first.cid)
        self.assertTrue(second.rootfs.is_dir())
        await self.stemcells.delete(second.cid)
        self.assert_nothing_left()
        self.assertFalse(self.stemcells.has_image_of(SIZE))

    async def test_an_upload_that_is_named_and_not_known(self) -> None:
        """Its bytes must be what was named: no image, and no other one, is shared."""
        await self.stemcells.fetch({"image_reference": "example/stemcell"})
        for name in (IMAGE, Content(DIGEST, SIZE)):
            upload = self.stemcells.open_upload({})
            self.assertIsNone(await upload.name(name))
            await upload.write(b"piece")
            if name == IMAGE:
                await self.stemcells.delete((await upload.finish()).cid)
                continue
            with self.assertRaises(StemcellRejected) as caught:
                await upload.finish()
            text = f"the bytes are not the image that was named: {DIGEST}, {SIZE} bytes"
            self.assertEqual(str(caught.exception), text)
            await upload.abort()
        self.assertEqual(len(self.stemcells.all()), 1)
        self.assertEqual(os.listdir(self.depot.scratch), [])

    async def test_an_upload_that_is_named_while_its_image_goes(self) -> None:
        """It is shared, or its bytes are needed; it is never shared and removed."""
        first = await self.stemcells.create(self.image, {})
        upload = self.stemcells.open_upload({})
        naming = Deferred.fromCoroutine(upload.name(IMAGE))
        deleting = Deferred.fromCoroutine(self.stemcells.delete(first.cid))
        second = await naming
        await deleting
        assert second is not None
        self.assertTrue(second.rootfs.is_dir())
        deleting = Deferred.fromCoroutine(self.stemcells.delete(second.cid))
        upload = self.stemcells.open_upload({})
        third = await upload.name(IMAGE)
        await deleting
        if third is None:
            third = await upload.finish()
        self.assertTrue(third.rootfs.is_dir())

    async def test_an_image_that_is_named_while_it_is_unpacked(self) -> None:
        """Who names it meanwhile waits for it, and shares it."""
        syncing = self.script.pending["sync"] = Deferred()
        first = Deferred.fromCoroutine(self.stemcells.open_upload({}).finish())
        upload = self.stemcells.open_upload({})
        self.assertTrue(self.stemcells.has_image_of(SIZE))
        naming = Deferred.fromCoroutine(upload.name(IMAGE))
        self.assertNoResult(naming)
        syncing.callback(None)
        made, shared = await first, await naming
        assert shared is not None
        self.assertEqual(shared.rootfs, made.rootfs)

    async def test_an_image_that_is_deleted_meanwhile(self) -> None:
        """It is unpacked anew if it is deleted while the new file is looked at."""
        first = await self.stemcells.create(self.image, {})
        looking = self.script.pending["identify"] = Deferred()
        second = Deferred.fromCoroutine(self.stemcells.create(self.image, {}))
        await self.stemcells.delete(first.cid)
        self.script.done.clear()
        looking.callback(None)
        self.assertTrue((await second).rootfs.is_dir())
        self.assertEqual(self.script.done, ["unpack", "sync"])

    async def test_the_same_image_when_it_is_damaged(self) -> None:
        """If its files are gone, or cannot boot a VM any more, it is unpacked anew."""
        first = await self.stemcells.create(self.image, {})
        ways: list[Callable[[], object]] = [
            lambda: shutil.rmtree(first.rootfs),
            lambda: shutil.rmtree(first.rootfs / "usr"),
            self.become_another,
        ]
        for damage in ways:
            damage()
            self.stemcells = self.loaded()
            self.script.done.clear()
            again = await self.stemcells.create(self.image, {})
            self.assertEqual(self.script.done, ["identify", "remove", "unpack", "sync"])
            self.assertEqual((again.rootfs, again.features), (first.rootfs, first.features))
            upload = self.stemcells.open_upload({})
            damage()
            await upload.finish()
            self.assertEqual(inspect(first.rootfs), first.features)
        self.assertEqual(os.listdir(self.depot.scratch), [])

    def become_another(self) -> None:
        """Have another root file system in the place of the one that there is."""
        (rootfs,) = (path / "rootfs" for path in self.depot.images.iterdir())
        shutil.rmtree(rootfs)
        (rootfs / "bin").mkdir(parents=True)
        (rootfs / "bin/sh").touch(0o755)

    async def test_a_damaged_image_with_vms(self) -> None:
        """What is left of it is not taken from VMs that run on it."""
        first = await self.stemcells.create(self.image, {})
        self.stemcells.hold(first.cid)
        shutil.rmtree(first.rootfs / "usr")
        with self.assertRaises(CloudError) as caught:
            await self.stemcells.create(self.image, {})
        self.assertIn(f"{first.rootfs.parent} is damaged", str(caught.exception))
        self.assertTrue(first.rootfs.is_dir())
        self.stemcells.release(first.cid)
        await self.stemcells.create(self.image, {})
