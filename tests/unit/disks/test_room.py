"""Room for disks: what is promised counts, whether it is written yet or not."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel
from twisted.logger import capturedLogs as captured_logs

from runc_cpi.errors import NoDiskSpace, NotSupported
from tests.unit.disks.disk_case import GIBIBYTE, DiskTestCase


class RoomTests(DiskTestCase):
    """How much may be promised."""

    async def test_more_than_there_is(self) -> None:
        """The error says how much is wanted and how much there is."""
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
        """A file can also take more than its size."""
        await self.make(4096)
        self.free, self.driver.taken = 4 * GIBIBYTE, 5 * GIBIBYTE
        await self.make(4096)

    async def test_two_at_once(self) -> None:
        """A disk counts from the moment it is begun."""
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
        """It is promised like any other."""
        bundle = self.depot.vms / "vm-1"
        bundle.mkdir()
        with self.assertRaises(NoDiskSpace):
            await self.disks.make_ephemeral(bundle, 8193)
        self.assertEqual(self.script.done, [])
        await self.disks.make_ephemeral(bundle, 8192)

    async def test_growth(self) -> None:
        """Only what is added must be there."""
        disk_cid = await self.make(8000)
        with self.assertRaises(NoDiskSpace):
            await self.disks.resize(disk_cid, 8193, None)
        await self.disks.resize(disk_cid, 8192, None)
        with self.assertRaises(NotSupported):
            await self.disks.resize(disk_cid, 8191, None)

    async def test_ephemeral_disks_add_up(self) -> None:
        """What a VM may still write to its own counts as long as the VM is there."""
        bundles = [self.depot.vms / vm_cid for vm_cid in ("vm-1", "vm-2")]
        for bundle in bundles:
            bundle.mkdir()
        await self.disks.make_ephemeral(bundles[0], 5000)
        with self.assertRaises(NoDiskSpace):
            await self.disks.make_ephemeral(bundles[1], 5000)

    async def test_growth_that_is_under_way(self) -> None:
        """It counts from the moment it is begun."""
        disk_cid = await self.make(1000)
        gate = self.script.pending["grow"] = Deferred()
        growing = Deferred.fromCoroutine(self.disks.resize(disk_cid, 6000, None))
        with self.assertRaises(NoDiskSpace):
            await self.make(5000)
        gate.callback(None)
        await growing

    async def test_a_snapshot(self) -> None:
        """It needs room for what is on the disk, and only for that."""
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
        """Nothing is promised then; what is not there at all is refused all the same."""
        self.driver.keeps_to_sizes = False
        await self.make(8000)
        await self.make(8000)
        with self.assertRaises(NoDiskSpace):
            await self.make(8193)

    async def test_a_warning(self) -> None:
        """It is logged once each time that room gets tight, whoever takes it."""

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
