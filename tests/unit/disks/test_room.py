"""Room for disks: what is promised counts, whether it is written yet or not."""

from __future__ import annotations

import shutil
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel
from twisted.logger import capturedLogs as captured_logs

from runc_cpi.errors import NoDiskSpace, NotSupported
from tests.unit.disks.disk_case import GIBIBYTE, DiskTestCase


class RoomTests(DiskTestCase):
    """Disks are promised room, within the bounds of the host."""

    async def test_more_than_there_is(self) -> None:
        """The error says how much is wanted, how much there is, and which key bounds it."""
        with self.assertRaises(NoDiskSpace) as caught:
            await self.make(8193)
        self.assertIn("8193 MiB", str(caught.exception))
        self.assertIn("8192 MiB", str(caught.exception))
        self.assertIn("disks.overcommit", str(caught.exception))
        await self.make(8192)

    async def test_promises_add_up(self) -> None:
        """What other disks may still grow by is not free."""
        await self.make(5000)
        with self.assertRaises(NoDiskSpace):
            await self.make(5000)
        self.driver.taken = 4000 << 20
        await self.make(5000)

    async def test_what_is_written_is_not_counted_twice(self) -> None:
        """What a disk takes is part of its size, also when it takes more than that."""
        await self.make(4096)
        self.free, self.driver.taken = 4 * GIBIBYTE, 5 * GIBIBYTE
        await self.make(4096)

    async def test_two_at_once(self) -> None:
        """A disk counts from the moment its creation begins."""
        gate = self.script.pending["create"] = Deferred()
        first = Deferred.fromCoroutine(self.make(5000))
        with self.assertRaises(NoDiskSpace):
            await self.make(5000)
        gate.callback(None)
        await first

    async def test_overcommit(self) -> None:
        """The operator may promise more than there is, or less."""
        await self.begin(overcommit=2.0)
        await self.make(16384)
        await self.begin(overcommit=0.5)
        with self.assertRaises(NoDiskSpace):
            await self.make(2)

    async def test_an_ephemeral_disk(self) -> None:
        """An ephemeral disk is promised room like any other."""
        bundle = self.depot.vms / "vm-1"
        bundle.mkdir()
        with self.assertRaises(NoDiskSpace):
            await self.disks.make_ephemeral(bundle, 8193)
        self.assertEqual(self.script.done, [])
        await self.disks.make_ephemeral(bundle, 8192)

    async def test_growth(self) -> None:
        """To grow a disk takes room for what is added only."""
        disk_cid = await self.make(8000)
        with self.assertRaises(NoDiskSpace):
            await self.disks.resize(disk_cid, 8193, None)
        await self.disks.resize(disk_cid, 8192, None)
        with self.assertRaises(NotSupported):
            await self.disks.resize(disk_cid, 8191, None)

    async def test_ephemeral_disks_add_up(self) -> None:
        """What a VM may still write to its ephemeral disk counts."""
        bundles = [self.depot.vms / vm_cid for vm_cid in ("vm-1", "vm-2")]
        for bundle in bundles:
            bundle.mkdir()
        await self.disks.make_ephemeral(bundles[0], 5000)
        with self.assertRaises(NoDiskSpace):
            await self.disks.make_ephemeral(bundles[1], 5000)

    async def test_growth_that_is_under_way(self) -> None:
        """What a disk grows by counts from the moment the growth begins."""
        disk_cid = await self.make(1000)
        gate = self.script.pending["grow"] = Deferred()
        growing = Deferred.fromCoroutine(self.disks.resize(disk_cid, 6000, None))
        with self.assertRaises(NoDiskSpace):
            await self.make(5000)
        gate.callback(None)
        await growing

    async def test_a_snapshot(self) -> None:
        """A snapshot takes room for what is on the disk, and no more."""
        disk_cid = await self.make(4096)
        self.driver.taken = 3000 << 20
        self.free = 4000 << 20
        with self.assertRaises(NoDiskSpace) as caught:
            await self.snapshots.create(disk_cid, {}, None)
        self.assertIn("3000 MiB", str(caught.exception))
        self.assertNotIn("snapshot", self.script.done)
        self.free = 5000 << 20
        await self.snapshots.create(disk_cid, {}, None)

    async def test_what_keeps_to_no_size(self) -> None:
        """Without sizes nothing is promised, but more than is free is refused."""
        self.driver.keeps_to_sizes = False
        await self.make(8000)
        await self.make(8000)
        with self.assertRaises(NoDiskSpace):
            await self.make(8193)

    async def test_a_warning(self) -> None:
        """A warning is logged each time that room gets tight, and once."""

        def warnings() -> int:
            return len([event for event in logged if event["log_level"] is LogLevel.warn])

        with captured_logs() as logged:
            await self.make(6000)
            self.assertEqual(warnings(), 0)
            self.free = 7 * GIBIBYTE
            await self.disks.room.watch()
            await self.disks.room.watch()
            self.assertEqual(warnings(), 1)
            self.free = 8 * GIBIBYTE
            await self.disks.room.watch()
            await self.make(1000)
            self.assertEqual(warnings(), 2)

    async def test_files_are_looked_at_when_it_matters(self) -> None:
        """What files take is not looked at while there is room by what is known."""
        await self.make(1000)
        looks = 0
        allocated = self.driver.allocated

        def counted(path: Path) -> int:
            nonlocal looks
            looks += 1
            return allocated(path)

        self.patch(self.driver, "allocated", counted)
        disk_cid = await self.make(1000)
        await self.disks.resize(disk_cid, 2000, None)
        self.assertEqual(looks, 0)
        with self.assertRaises(NoDiskSpace):
            await self.make(6000)
        self.assertEqual(looks, 2)
        await self.disks.room.watch()
        self.assertEqual(looks, 4)

    async def test_a_deleted_disk(self) -> None:
        """A disk that is deleted is promised nothing any more."""
        for _ in range(3):
            await self.disks.delete(await self.make(5000))
        await self.make(8192)

    async def test_an_ephemeral_disk_that_is_gone(self) -> None:
        """The ephemeral disk of a VM that was deleted does not count."""
        for vm_cid in ("vm-1", "vm-2"):
            bundle = self.depot.vms / vm_cid
            bundle.mkdir()
            await self.disks.make_ephemeral(bundle, 5000)
            shutil.rmtree(bundle)
        await self.make(8192)

    async def test_disks_that_come_and_go_meanwhile(self) -> None:
        """A disk that is made or deleted while files are looked at counts as it should."""
        first = await self.make(3000)
        look = Deferred.fromCoroutine(self.disks.room.watch())
        second = await self.make(4000)
        await self.disks.delete(first)
        await look
        with self.assertRaises(NoDiskSpace) as caught:
            await self.make(5000)
        self.assertIn("9000 MiB", str(caught.exception))
        self.assertTrue(self.disks.exists(second))

    async def test_what_is_being_removed(self) -> None:
        """What was deleted is not free yet; nothing is refused while it may become so."""
        disk_cid = await self.make(8192)
        removal = self.host.pending["remove"] = Deferred()
        await self.disks.delete(disk_cid)
        self.free = GIBIBYTE
        waiting = Deferred.fromCoroutine(self.make(4096))
        self.assertFalse(waiting.called)
        self.free = 8 * GIBIBYTE
        removal.callback(None)
        await waiting

    async def test_what_is_removed_is_not_enough(self) -> None:
        """It is refused once nothing is left to be removed."""
        disk_cid = await self.make(8192)
        removal = self.host.pending["remove"] = Deferred()
        await self.disks.delete(disk_cid)
        self.free = GIBIBYTE
        waiting = Deferred.fromCoroutine(self.make(4096))
        removal.callback(None)
        with self.assertRaises(NoDiskSpace):
            await waiting
