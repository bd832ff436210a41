"""Stemcells over a fake archiver: they appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.stemcells import making
from runc_cpi.daemon.stemcells.content import Content
from runc_cpi.daemon.stemcells.features import inspect
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.stemcells.upload import StemcellUpload
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.reaper import Reaper
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.errors import CloudError, InvalidArgument, StemcellNotFound, StemcellRejected
from tests.fakes.script import Script
from tests.fakes.stemcells import DIGEST, IMAGE, FakeArchiver, FakeImages
from tests.fakes.storage import FakeTrees

SIZE = 4096


class StemcellsTests(TestCase):
    """The stemcells of one daemon, in a real directory."""

    timeout = 20

    def setUp(self) -> None:
        self.assertEqual(IMAGE.size, SIZE)
        self.script = Script()
        self.depot = Depot(Path(os.path.abspath(self.mktemp())))
        self.depot.prepare()
        self.addCleanup(self.depot.release)
        self.image = os.open(os.devnull, os.O_RDONLY)
        self.addCleanup(os.close, self.image)
        self.stemcells = self.loaded()

    def loaded(self) -> Stemcells:
        """Read the stemcells from disk, as a daemon does that starts."""
        self.images = FakeImages(self.script)
        self.archiver, clock = FakeArchiver(self.script), Clock()
        reaper = Reaper(clock, TaskGroup(clock))
        self.scratch = Scratch(clock, self.depot, FakeTrees(self.script), reaper)
        stemcells = Stemcells(self.depot, self.archiver, self.images, self.scratch)
        stemcells.load(Repairs())
        return stemcells

    def assert_nothing_left(self) -> None:
        """Check that there is no stemcell, whole or in part."""
        self.assertEqual(self.stemcells.all(), [])
        self.assertEqual(os.listdir(self.depot.stemcells), [])
        self.assertEqual(os.listdir(self.depot.images), [])
        self.assertEqual(os.listdir(self.depot.scratch), [])

    async def test_from_a_file(self) -> None:
        """A stemcell made of a file is synced to disk, and is there after a restart."""
        stemcell = await self.stemcells.create(self.image, {"name": "x"})
        self.assertEqual(self.script.done, ["unpack", "sync"])
        self.assertEqual(stemcell.features.init, "runit")
        self.assertEqual(self.loaded().all(), [stemcell])
        self.assertEqual(os.listdir(self.depot.scratch), [])

    async def test_from_pieces(self) -> None:
        """Each upload gives a new stemcell_cid, also for the same image."""
        cids = set()
        for _ in range(2):
            upload = self.stemcells.open_upload({})
            await upload.write(b"piece")
            cids.add((await upload.finish()).cid)
        self.assertEqual(len(cids), 2)
        self.assertEqual({each.cid for each in self.loaded().all()}, cids)

    async def test_failures_leave_nothing(self) -> None:
        """When a step of making a stemcell fails, its error is told and nothing is left."""
        for step in ("unpack", "sync"):
            self.script.failing = {step: StemcellRejected(f"{step} failed")}
            with self.assertRaises(StemcellRejected) as caught:
                await self.stemcells.create(self.image, {})
            self.assertEqual(str(caught.exception), f"{step} failed")
            self.assert_nothing_left()

    async def test_an_aborted_upload_leaves_nothing(self) -> None:
        """Nothing is left of an upload that is aborted half way."""
        upload = self.stemcells.open_upload({})
        await upload.write(b"piece")
        await upload.abort()
        self.assertIn("abort", self.script.done)
        self.assert_nothing_left()

    def tight(self) -> Deferred[None]:
        """Have little room, and a removal that ends when the test says so."""
        room = os.statvfs_result((4096, 4096, 1, 1, 1, 9, 9, 9, 0, 255))
        self.patch(os, "statvfs", lambda path: room)
        removal = self.script.pending["remove"] = Deferred()
        self.scratch.drop(self.scratch.new())
        return removal

    def test_pieces_that_wait_for_room(self) -> None:
        """They wait once, and are taken in the order in which they came."""
        removal = self.tight()
        upload = self.stemcells.open_upload({})
        pieces = [Deferred.fromCoroutine(upload.write(piece)) for piece in (b"a", b"b")]
        self.assertEqual(self.archiver.uploads[0].written, b"")
        self.patch(os, "statvfs", os.statvfs)
        more = Deferred.fromCoroutine(upload.write(b"c"))
        removal.callback(None)
        self.tight()
        pieces += [more, Deferred.fromCoroutine(upload.write(b"d"))]
        for piece in pieces:
            self.successResultOf(piece)
        self.assertEqual(self.archiver.uploads[0].written, b"abcd")

    def test_an_upload_that_is_given_up_while_it_waits(self) -> None:
        """Nothing is written after that, neither what waits for room nor what is behind."""
        removal = self.tight()
        upload = self.stemcells.open_upload({})
        waiting = [Deferred.fromCoroutine(upload.write(b"a")) for _ in range(2)]
        finished = Deferred.fromCoroutine(upload.finish())
        aborted = Deferred.fromCoroutine(upload.abort())
        removal.callback(None)
        self.successResultOf(aborted)
        for failed in (*waiting, finished):
            self.failureResultOf(failed, CloudError)
        self.assertEqual(self.archiver.uploads[0].written, b"")

    async def test_cloud_properties_are_an_object(self) -> None:
        """No stemcell is made when cloud_properties are no object."""
        no_objects: list[Any] = [None, [], "x"]
        for wrong in no_objects:
            with self.assertRaises(InvalidArgument):
                await self.stemcells.create(self.image, wrong)
            with self.assertRaises(InvalidArgument):
                self.stemcells.open_upload(wrong)
        self.assert_nothing_left()

    async def test_delete(self) -> None:
        """A stemcell can be deleted, and deleting it again is no error."""
        stemcell = await self.stemcells.create(self.image, {})
        for _ in range(2):
            await self.stemcells.delete(stemcell.cid)
        self.assert_nothing_left()
        with self.assertRaises(StemcellNotFound) as caught:
            self.stemcells.hold(stemcell.cid)
        self.assertIn(stemcell.cid, str(caught.exception))

    async def test_a_record_that_cannot_be_read_is_left_alone(self) -> None:
        """A stemcell with a record of another schema, or a damaged one, keeps its files."""
        stemcell = await self.stemcells.create(self.image, {})
        record = stemcell.path / "stemcell.json"
        whole = json.loads(record.read_text())
        for damaged in ("{", "{}", json.dumps({**whole, "schema": 2}), "[]"):
            record.write_text(damaged)
            self.assertEqual(self.loaded().all(), [])
            self.assertTrue(stemcell.rootfs.is_dir())

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

    async def test_an_upload_that_is_named_too_late(self) -> None:
        """What has begun to be unpacked is no other image any more."""
        upload = self.stemcells.open_upload({})
        await upload.write(b"piece")
        with self.assertRaises(InvalidArgument):
            await upload.name(IMAGE)
        await upload.abort()
        with self.assertRaises(InvalidArgument):
            await upload.write(b"piece")
        self.assert_nothing_left()

    async def test_what_comes_behind_the_end_of_an_upload(self) -> None:
        """It is refused, and begins nothing, also if it waited for its turn."""
        await self.stemcells.create(self.image, {})
        ends: list[Callable[[StemcellUpload], Any]] = [
            lambda upload: upload.name(IMAGE),
            lambda upload: upload.finish(),
        ]
        for end in ends:
            upload = self.stemcells.open_upload({})
            ending = Deferred.fromCoroutine(end(upload))
            behind = [
                Deferred.fromCoroutine(work)
                for work in (upload.write(b"x"), upload.name(IMAGE), upload.finish())
            ]
            self.assertIsNotNone(await ending)
            for failed in behind:
                self.failureResultOf(failed, InvalidArgument)
            self.assertTrue(upload.is_made)
            await upload.abort()
        self.assertEqual(len(self.stemcells.all()), 3)
        self.assertEqual(os.listdir(self.depot.scratch), [])

    async def test_what_comes_behind_a_failure(self) -> None:
        """It fails for the same reason, also if it waited for its turn."""
        self.script.failing["finish"] = StemcellRejected("no tar archive")
        gate = self.script.pending["write"] = Deferred()
        upload = self.stemcells.open_upload({})
        first = Deferred.fromCoroutine(upload.write(b"x"))
        asked = [
            Deferred.fromCoroutine(work) for work in (upload.finish(), upload.write(b"y"))
        ]
        gate.callback(None)
        await first
        for failed in asked:
            self.failureResultOf(failed, StemcellRejected)
        self.assertEqual(self.archiver.uploads[0].written, b"x")
        await upload.abort()
        self.assert_nothing_left()

    async def test_an_upload_that_is_given_up_at_its_end(self) -> None:
        """What is about to appear is not removed piece by piece: it appears whole."""
        syncing = self.script.pending["sync"] = Deferred()
        upload = self.stemcells.open_upload({})
        finishing = Deferred.fromCoroutine(upload.finish())
        await upload.abort()
        self.assertNotIn("remove", self.script.done)
        syncing.callback(None)
        self.assertTrue((await finishing).rootfs.is_dir())

    async def test_an_upload_that_cannot_begin(self) -> None:
        """Nothing is left of it, whatever it fails at."""
        for owner, name in (
            (making, "rootfs_path"),
            (self.archiver, "open"),
            (self.scratch, "begin_sync"),
        ):
            upload = self.stemcells.open_upload({})
            patch = self.patch(owner, name, self.full)
            for work in (upload.write(b"x"), upload.finish()):
                with self.assertRaises((OSError, CloudError)):
                    await work
            patch.restore()
            await upload.abort()
            self.assert_nothing_left()

    def full(self, *_: Any, **__: Any) -> None:
        """Have no room for anything but the directory in scratch."""
        raise OSError(errno.ENOSPC, "no room")

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

    async def test_a_stemcell_of_an_older_daemon(self) -> None:
        """Its record names no image; its files are in its own directory, and go with it."""
        stemcell = await self.stemcells.create(self.image, {})
        record = stemcell.path / "stemcell.json"
        stemcell.rootfs.rename(stemcell.path / "rootfs")
        older = {**json.loads(record.read_text()), "image": None}
        del older["image_size"]
        record.write_text(json.dumps(older))
        self.stemcells = self.loaded()
        (found,) = self.stemcells.all()
        self.assertEqual(found.rootfs, stemcell.path / "rootfs")
        await self.stemcells.sweep(Repairs())
        await self.stemcells.delete(found.cid)
        self.assert_nothing_left()
