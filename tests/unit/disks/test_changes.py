"""Disks that grow, are changed and copied, and what is noted about them."""

from __future__ import annotations

import os
from typing import Any

from runc_cpi.daemon.disks.disk import Snapshot
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.records import read_record, write_record
from runc_cpi.errors import CloudError, InvalidArgument, NotSupported
from tests.unit.disks.disk_case import DiskTestCase


class ChangesTests(DiskTestCase):
    """What is done to a disk that exists."""

    async def test_resize(self) -> None:
        """The record follows the disk."""
        disk_cid = await self.make(1024)
        await self.disks.resize(disk_cid, 2048, None)
        self.assertEqual(self.driver.sizes[self.depot.disks / disk_cid], 2048)
        self.assertEqual(self.record(disk_cid).size, 2048)

    async def test_resize_to_the_same_size(self) -> None:
        """A call may be repeated."""
        disk_cid = await self.make(1024)
        await self.disks.resize(disk_cid, 1024, None)
        self.assertEqual(self.record(disk_cid).size, 1024)

    async def test_a_disk_does_not_shrink(self) -> None:
        """The director then copies it to a smaller one itself."""
        disk_cid = await self.make(1024)
        for change in (
            self.disks.resize(disk_cid, 1023, None),
            self.disks.update(disk_cid, 1023, {}, None),
        ):
            with self.assertRaises(NotSupported) as caught:
                await change
            self.assertIn("1024 MiB", str(caught.exception))
        self.assertNotIn("grow", self.script.done)
        self.assertEqual(self.record(disk_cid).size, 1024)

    async def test_a_growth_that_fails(self) -> None:
        """The record keeps the size that is certain, and it can be tried again."""
        disk_cid = await self.make(1024)
        self.script.failing = {"grow": CloudError("resize2fs")}
        with self.assertRaises(CloudError):
            await self.disks.resize(disk_cid, 2048, None)
        self.assertEqual(self.record(disk_cid).size, 1024)
        self.script.failing.clear()
        await self.disks.resize(disk_cid, 2048, None)
        self.assertEqual(self.record(disk_cid).size, 2048)

    async def test_bad_sizes(self) -> None:
        """They are named as the contract names the argument."""
        disk_cid = await self.make(1024)
        sizes: list[Any] = [0, -1, 1.5, True, "2048", None, 1 << 29]
        for size in sizes:
            for change in (
                self.disks.resize(disk_cid, size, None),
                self.disks.update(disk_cid, size, {}, None),
            ):
                with self.assertRaises(InvalidArgument) as caught:
                    await change
                self.assertTrue(str(caught.exception).startswith("new_size: "))

    async def test_update(self) -> None:
        """Size and properties, in one step."""
        disk_cid = await self.make(1024)
        await self.disks.update(disk_cid, 2048, {"type": "fast"}, None)
        record = self.record(disk_cid)
        self.assertEqual((record.size, record.cloud_properties), (2048, {"type": "fast"}))

    async def test_update_of_properties_alone(self) -> None:
        """The disk itself is not touched."""
        disk_cid = await self.make(1024, filesystem="xfs")
        await self.disks.update(disk_cid, 1024, {"type": "fast"}, None)
        self.assertNotIn("grow", self.script.done)
        self.assertEqual(self.record(disk_cid).filesystem, "xfs")

    async def test_a_file_system_does_not_change(self) -> None:
        """It would be made anew; nothing of the update is done then."""
        disk_cid = await self.make(1024)
        with self.assertRaises(NotSupported):
            await self.disks.update(disk_cid, 2048, {"filesystem": "xfs"}, None)
        self.assertEqual(self.record(disk_cid).size, 1024)

    async def test_properties_that_are_none(self) -> None:
        """Of an update as of a new disk."""
        disk_cid = await self.make(1024)
        bad: list[Any] = [None, [], {"filesystem": "fat"}]
        for properties in bad:
            with self.assertRaises(InvalidArgument):
                await self.disks.update(disk_cid, 2048, properties, None)
        self.assertEqual(self.record(disk_cid).size, 1024)

    async def test_metadata(self) -> None:
        """The last call counts, also after a restart."""
        disk_cid = await self.make()
        for metadata in ({"job": "db"}, {"deployment": "d"}):
            await self.disks.set_metadata(disk_cid, metadata)
        await self.begin()
        (disk,) = self.disks.all()
        self.assertEqual(disk.metadata, {"deployment": "d"})
        with self.assertRaises(InvalidArgument):
            await self.disks.set_metadata(disk_cid, "x")

    async def test_a_disk_of_another_driver(self) -> None:
        """It is left as it is: this driver would only ruin it."""
        disk_cid = await self.make(1024)
        path = self.depot.disks / disk_cid / "disk.json"
        write_record(path, {**read_record(path), "driver": "other"})
        await self.begin()
        works: list[Any] = [
            self.attach(disk_cid),
            self.disks.resize(disk_cid, 2048, None),
            self.disks.update(disk_cid, 2048, {}, None),
            self.snapshots.create(disk_cid, {}, None),
        ]
        refused = []
        for work in works:
            try:
                await work
            except NotSupported:
                refused.append(work.__qualname__.split(".")[-1])
        self.assertEqual(refused, ["attach", "resize", "update", "create"])
        self.assertEqual(self.script.done, [])


class SnapshotsTests(DiskTestCase):
    """Copies, which live and go apart from their disks."""

    async def test_a_snapshot(self) -> None:
        """It appears whole, with what it is of."""
        disk_cid = await self.make(1024)
        made = await self.snapshots.create(disk_cid, {"job": "db"}, None)
        path = self.depot.snapshots / made.snapshot_cid
        self.assertEqual(Snapshot.from_json(read_record(path / "snapshot.json")), made)
        self.assertEqual((made.disk_cid, made.metadata), (disk_cid, {"job": "db"}))
        self.assertEqual((path / "image").read_text(), "ext4 1024")
        self.assertIn("sync", self.host.done)
        self.assertEqual(os.listdir(self.depot.scratch), [])

    async def test_it_outlives_its_disk(self) -> None:
        """That is what it is for."""
        disk_cid = await self.make()
        made = await self.snapshots.create(disk_cid, {}, None)
        await self.disks.delete(disk_cid)
        self.assertEqual(os.listdir(self.depot.snapshots), [made.snapshot_cid])

    async def test_a_failing_snapshot_leaves_nothing(self) -> None:
        """The disk is as before."""
        disk_cid = await self.make()
        for script, step in ((self.script, "snapshot"), (self.host, "sync")):
            script.failing = {step: CloudError(step)}
            with self.assertRaises(CloudError):
                await self.snapshots.create(disk_cid, {}, None)
            script.failing.clear()
        self.assertEqual(os.listdir(self.depot.snapshots), [])
        self.assertEqual(os.listdir(self.depot.scratch), [])
        self.assertTrue(self.disks.exists(disk_cid))

    async def test_delete(self) -> None:
        """Also after a restart, and again."""
        disk_cid = await self.make()
        made = await self.snapshots.create(disk_cid, {}, None)
        await self.begin()
        for _ in range(2):
            await self.snapshots.delete(made.snapshot_cid)
        self.assertEqual(os.listdir(self.depot.snapshots), [])
        self.assertEqual(os.listdir(self.depot.scratch), [])

    async def test_a_deletion_that_fails_can_be_repeated(self) -> None:
        """A snapshot that is still there is not said to be gone."""
        disk_cid = await self.make()
        made = await self.snapshots.create(disk_cid, {}, None)
        with_error = self.patch(Depot, "set_aside", self.refuse)
        with self.assertRaises(OSError):
            await self.snapshots.delete(made.snapshot_cid)
        with_error.restore()
        await self.snapshots.delete(made.snapshot_cid)
        self.assertEqual(os.listdir(self.depot.snapshots), [])

    def refuse(self, *_: Any) -> Any:
        """Fail as a file system does."""
        raise OSError("read-only")

    async def test_metadata_is_an_object(self) -> None:
        """Nothing is copied otherwise."""
        disk_cid = await self.make()
        no_objects: list[Any] = [None, [], "x"]
        for wrong in no_objects:
            with self.assertRaises(InvalidArgument):
                await self.snapshots.create(disk_cid, wrong, None)
        self.assertNotIn("snapshot", self.script.done)
