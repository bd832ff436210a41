"""Stemcells over a fake archiver: they appear whole or not at all."""

from __future__ import annotations

import json
import os
from typing import Any

from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.errors import InvalidArgument, StemcellNotFound, StemcellRejected
from tests.unit.stemcells.case import StemcellsCase


class StemcellsTests(StemcellsCase):
    """Stemcells that are made, read, and deleted."""

    async def test_from_a_file(self) -> None:
        """A stemcell made of a file is synced to disk, and is there after a restart."""
        stemcell = await self.stemcells.create(self.image, {"name": "x"})
        self.assertEqual(self.script.done, ["unpack", "sync"])
        self.assertEqual(stemcell.features.init, "runit")
        self.assertEqual(self.loaded().all(), [stemcell])
        self.assertEqual(os.listdir(self.depot.scratch), [])

    async def test_failures_leave_nothing(self) -> None:
        """When a step of making a stemcell fails, its error is told and nothing is left."""
        for step in ("unpack", "sync"):
            self.script.failing = {step: StemcellRejected(f"{step} failed")}
            with self.assertRaises(StemcellRejected) as caught:
                await self.stemcells.create(self.image, {})
            self.assertEqual(str(caught.exception), f"{step} failed")
            self.assert_nothing_left()

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
