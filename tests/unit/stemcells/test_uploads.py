"""Stemcells that come in pieces: whole, given up, or in the wrong order."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from runc_cpi.daemon.stemcells import making
from runc_cpi.daemon.stemcells.upload import StemcellUpload
from runc_cpi.errors import CloudError, InvalidArgument, StemcellRejected
from tests.fakes.stemcells import IMAGE
from tests.unit.stemcells.case import StemcellsCase


class UploadTests(StemcellsCase):
    """Uploads that end well, and that do not."""

    async def test_from_pieces(self) -> None:
        """Each upload gives a new stemcell_cid, also for the same image."""
        cids = set()
        for _ in range(2):
            upload = self.stemcells.open_upload({})
            await upload.write(b"piece")
            cids.add((await upload.finish()).cid)
        self.assertEqual(len(cids), 2)
        self.assertEqual({each.cid for each in self.loaded().all()}, cids)

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
