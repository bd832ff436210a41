"""Disks that grow, are changed and copied, and what is noted about them."""

from __future__ import annotations

import os
from typing import Any

from runc_cpi.daemon.disks.snapshot import Snapshot
from runc_cpi.daemon.storage import drafts
from runc_cpi.daemon.storage.records import read_record, write_record
from runc_cpi.errors import CloudError, InvalidArgument, NotSupported
from tests.unit.disks.disk_case import DiskTestCase


class ChangesTests(DiskTestCase):
    """A disk that exists is grown, changed and described."""

    async def test_resize(self) -> None:
        """A disk that was grown has its new size on record."""
        disk_cid = await self.make(1024)
        await self.disks.resize(disk_cid, 2048, None)
        self.assertEqual(self.driver.sizes[self.depot.disks / disk_cid], 2048)
        self.assertEqual(self.record(disk_cid).size, 2048)

    async def test_resize_to_the_same_size(self) -> None:
        """To resize a disk to the size it has is no error."""
        disk_cid = await self.make(1024)
        await self.disks.resize(disk_cid, 1024, None)
        self.assertEqual(self.record(disk_cid).size, 1024)

    async def test_a_disk_does_not_shrink(self) -> None:
        """A smaller size is refused; the Director then copies the disk to a smaller one."""
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
        """A growth that fails leaves the old size on record, and can be repeated."""
        disk_cid = await self.make(1024)
        self.script.failing = {"grow": CloudError("resize2fs")}
        with self.assertRaises(CloudError):
            await self.disks.resize(disk_cid, 2048, None)
        self.assertEqual(self.record(disk_cid).size, 1024)
        self.script.failing.clear()
        await self.disks.resize(disk_cid, 2048, None)
        self.assertEqual(self.record(disk_cid).size, 2048)

    async def test_bad_sizes(self) -> None:
        """A bad size is refused under the name that the contract has for the argument."""
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
        """One update changes both the size and the properties of a disk."""
        disk_cid = await self.make(1024)
        await self.disks.update(disk_cid, 2048, {"type": "fast"}, None)
        record = self.record(disk_cid)
        self.assertEqual((record.size, record.cloud_properties), (2048, {"type": "fast"}))

    async def test_update_of_properties_alone(self) -> None:
        """An update that keeps the size does not touch the disk itself."""
        disk_cid = await self.make(1024, filesystem="xfs")
        await self.disks.update(disk_cid, 1024, {"type": "fast"}, None)
        self.assertNotIn("grow", self.script.done)
        self.assertEqual(self.record(disk_cid).filesystem, "xfs")

    async def test_a_file_system_does_not_change(self) -> None:
        """An update to another file system is refused, and changes nothing else."""
        disk_cid = await self.make(1024)
        with self.assertRaises(NotSupported):
            await self.disks.update(disk_cid, 2048, {"filesystem": "xfs"}, None)
        self.assertEqual(self.record(disk_cid).size, 1024)

    async def test_properties_that_are_none(self) -> None:
        """An update with bad cloud_properties is refused, as a creation is."""
        disk_cid = await self.make(1024)
        bad: list[Any] = [None, [], {"filesystem": "fat"}]
        for properties in bad:
            with self.assertRaises(InvalidArgument):
                await self.disks.update(disk_cid, 2048, properties, None)
        self.assertEqual(self.record(disk_cid).size, 1024)

    async def test_metadata(self) -> None:
        """The metadata of a disk are those of the last call, also after a restart."""
        disk_cid = await self.make()
        for metadata in ({"job": "db"}, {"deployment": "d"}):
            await self.disks.set_metadata(disk_cid, metadata)
        await self.begin()
        (disk,) = self.disks.all()
        self.assertEqual(disk.metadata, {"deployment": "d"})
        with self.assertRaises(InvalidArgument):
            await self.disks.set_metadata(disk_cid, "x")

    async def test_a_disk_of_another_driver(self) -> None:
        """A disk that another driver made is refused and left as it is."""
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
    """Snapshots are made, outlive their disks, and are deleted."""

    async def test_a_snapshot(self) -> None:
        """A snapshot appears whole, with a record of the disk it is of."""
        disk_cid = await self.make(1024)
        made = await self.snapshots.create(disk_cid, {"job": "db"}, None)
        path = self.depot.snapshots / made.snapshot_cid
        self.assertEqual(Snapshot.from_json(read_record(path / "snapshot.json")), made)
        self.assertEqual((made.disk_cid, made.metadata), (disk_cid, {"job": "db"}))
        self.assertEqual((path / "image").read_text(), "ext4 1024")
        self.assertIn("sync", self.host.done)
        self.assertEqual(os.listdir(self.depot.scratch), [])

    async def test_it_outlives_its_disk(self) -> None:
        """A snapshot stays when its disk is deleted."""
        disk_cid = await self.make()
        made = await self.snapshots.create(disk_cid, {}, None)
        await self.disks.delete(disk_cid)
        self.assertEqual(os.listdir(self.depot.snapshots), [made.snapshot_cid])

    async def test_a_failing_snapshot_leaves_nothing(self) -> None:
        """A snapshot that fails leaves no files, and the disk as it was."""
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
        """A snapshot can be deleted after a restart, and twice."""
        disk_cid = await self.make()
        made = await self.snapshots.create(disk_cid, {}, None)
        await self.begin()
        for _ in range(2):
            await self.snapshots.delete(made.snapshot_cid)
        self.assertEqual(os.listdir(self.depot.snapshots), [])
        self.assertEqual(os.listdir(self.depot.scratch), [])

    async def test_a_deletion_that_fails_can_be_repeated(self) -> None:
        """A snapshot whose deletion failed is still known, and can be deleted."""
        disk_cid = await self.make()
        made = await self.snapshots.create(disk_cid, {}, None)
        with_error = self.patch(drafts, "set_aside", self.refuse)
        with self.assertRaises(OSError):
            await self.snapshots.delete(made.snapshot_cid)
        with_error.restore()
        await self.snapshots.delete(made.snapshot_cid)
        self.assertEqual(os.listdir(self.depot.snapshots), [])

    def refuse(self, *_: Any, **__: Any) -> Any:
        """Fail as a file system does."""
        raise OSError("read-only")

    async def test_metadata_is_an_object(self) -> None:
        """Metadata that are no object are refused, and nothing is copied."""
        disk_cid = await self.make()
        no_objects: list[Any] = [None, [], "x"]
        for wrong in no_objects:
            with self.assertRaises(InvalidArgument):
                await self.snapshots.create(disk_cid, wrong, None)
        self.assertNotIn("snapshot", self.script.done)
