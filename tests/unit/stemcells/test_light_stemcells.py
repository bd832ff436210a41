"""Light stemcells: what they are made of, and how long an unpacked image stays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.stemcells.content import Content
from runc_cpi.daemon.stemcells.stemcell import record_path
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.reaper import Reaper
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.errors import CloudError, InvalidArgument, StemcellRejected
from tests.fakes.script import Script
from tests.fakes.stemcells import DIGEST, FakeArchiver, FakeImages
from tests.fakes.storage import FakeTrees

REFERENCE = "docker://registry.example/stemcells/jammy:1.2"


class LightStemcellsTests(TestCase):
    """Stemcells of fake images, in a real directory."""

    timeout = 20

    def setUp(self) -> None:
        self.script = Script()
        self.depot = Depot(Path(os.path.abspath(self.mktemp())))
        self.depot.prepare()
        self.addCleanup(self.depot.release)
        self.images = FakeImages(self.script)
        self.stemcells = self.loaded()

    def loaded(self) -> Stemcells:
        """Read the stemcells from disk, as a daemon does that starts."""
        archiver = FakeArchiver(self.script)
        clock = Clock()
        reaper = Reaper(clock, TaskGroup(clock))
        scratch = Scratch(clock, self.depot, FakeTrees(self.script), reaper)
        stemcells = Stemcells(self.depot, archiver, self.images, scratch)
        stemcells.load(Repairs())
        return stemcells

    async def fetch(self, **more: Any) -> Any:
        """Make a light stemcell."""
        return await self.stemcells.fetch({"image_reference": REFERENCE, **more})

    def left(self) -> tuple[int, int, int]:
        """Count what is on disk: stemcells, unpacked images and scratch."""
        directories = (self.depot.stemcells, self.depot.images, self.depot.scratch)
        return tuple(len(os.listdir(path)) for path in directories)  # type: ignore[return-value]

    async def test_a_light_stemcell(self) -> None:
        """A light stemcell has features and files like any other, also after a restart."""
        stemcell = await self.fetch(name="x")
        self.assertEqual(stemcell.image, Content(DIGEST))
        self.assertEqual(stemcell.features.init, "runit")
        self.assertTrue((stemcell.rootfs / "usr/sbin/runsvdir-start").is_file())
        self.assertEqual(stemcell.cloud_properties["name"], "x")
        self.assertEqual(self.loaded().all(), [stemcell])
        self.assertEqual(self.left(), (1, 1, 0))

    async def test_an_overlay_can_name_its_path(self) -> None:
        """There is no colon in the path of a root file system: overlayfs ends it there."""
        self.assertNotIn(":", str((await self.fetch()).rootfs))

    async def test_one_image_is_unpacked_once(self) -> None:
        """Two stemcells of one image share its files, which stay until both are deleted."""
        first, second = await self.fetch(), await self.fetch()
        self.assertNotEqual(first.cid, second.cid)
        self.assertEqual(first.rootfs, second.rootfs)
        self.assertEqual(self.script.done.count("unpack"), 1)
        await self.stemcells.delete(first.cid)
        self.assertTrue(second.rootfs.is_dir())
        await self.stemcells.delete(second.cid)
        self.assertEqual(self.left(), (0, 0, 0))

    async def test_two_at_once(self) -> None:
        """Of two calls for one image the second waits until the first has unpacked it."""
        gate = self.script.pending["unpack"] = Deferred()
        first = Deferred.fromCoroutine(self.fetch())
        second = Deferred.fromCoroutine(self.fetch())
        self.assertEqual(self.script.done, ["fetch", "unpack", "fetch"])
        gate.callback(None)
        await first
        await second
        self.assertEqual(self.script.done.count("unpack"), 1)
        self.assertEqual(self.left(), (2, 1, 0))

    async def test_a_new_user_keeps_an_image(self) -> None:
        """An image stays when its only stemcell is deleted while another is made."""
        first = await self.fetch()
        gate = self.script.pending["sync"] = Deferred()
        making = Deferred.fromCoroutine(self.fetch())
        await self.stemcells.delete(first.cid)
        gate.callback(None)
        second = await making
        self.assertTrue(second.rootfs.is_dir())
        self.assertEqual(self.script.done.count("unpack"), 1)
        self.assertEqual(self.left(), (1, 1, 0))

    async def test_the_digest_is_kept_to(self) -> None:
        """An image with another digest than image_digest is refused."""
        await self.fetch(image_digest=DIGEST)
        with self.assertRaises(StemcellRejected) as caught:
            await self.fetch(image_digest="sha256:" + "e" * 64)
        self.assertIn(DIGEST, str(caught.exception))
        self.assertEqual(self.left(), (1, 1, 0))

    async def test_failures_leave_nothing(self) -> None:
        """When a step of making a stemcell fails, its error is told and nothing is left."""
        for step in ("fetch", "unpack", "sync"):
            self.script.failing = {step: CloudError(f"{step} failed")}
            with self.assertRaises(CloudError) as caught:
                await self.fetch()
            self.assertEqual(str(caught.exception), f"{step} failed")
            self.assertEqual(self.left(), (0, 0, 0))

    async def test_an_image_that_is_no_stemcell(self) -> None:
        """The files of an image that is no root file system are removed."""
        self.images.program = None
        with self.assertRaises(StemcellRejected):
            await self.fetch()
        self.assertEqual(self.left(), (0, 0, 0))

    async def test_arguments(self) -> None:
        """Nothing is fetched when cloud_properties are wrong."""
        bad: list[Any] = [None, [], {}, {"image_reference": 5}]
        for properties in bad:
            with self.assertRaises(InvalidArgument):
                await self.stemcells.fetch(properties)
        self.assertEqual(self.script.done, [])

    async def test_what_a_crash_left(self) -> None:
        """After a crash, images without a stemcell are removed, and the others stay."""
        stemcell = await self.fetch()
        (self.depot.images / ("sha256-" + "e" * 64)).mkdir()
        again, repairs = self.loaded(), Repairs()
        await again.sweep(repairs)
        self.assertEqual(len(repairs.done), 1)
        self.assertEqual(self.left(), (1, 1, 0))
        self.assertTrue(stemcell.rootfs.is_dir())

    async def test_a_record_that_cannot_be_read(self) -> None:
        """A stemcell with an unreadable record may be of any image, so all images stay."""
        lost, known = await self.fetch(), await self.fetch()
        record_path(lost.path).write_text("no JSON")
        again, repairs = self.loaded(), Repairs()
        await again.sweep(repairs)
        await again.delete(known.cid)
        self.assertEqual(repairs.done, [])
        self.assertTrue(lost.rootfs.is_dir())
