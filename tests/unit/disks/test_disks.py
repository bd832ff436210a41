"""The rules for persistent disks: who may have one, and what may be done to it."""

from __future__ import annotations

import errno
import os
from typing import Any

from twisted.internet.defer import Deferred

from runc_cpi.errors import (
    CloudError,
    DiskAttached,
    DiskBusy,
    DiskNotAttached,
    DiskNotFound,
    InvalidArgument,
    NoDiskSpace,
)
from tests.unit.disks.disk_case import DiskTestCase


class DisksTests(DiskTestCase):
    """Disks are made, given to VMs, taken back and deleted, each as the contract allows."""

    def assert_nothing_left(self) -> None:
        """There is no disk, whole or in part."""
        self.assertEqual(self.disks.all(), [])
        self.assertEqual(os.listdir(self.depot.disks), [])
        self.assertEqual(os.listdir(self.depot.scratch), [])

    async def test_create(self) -> None:
        """A new disk has a cid of its own, the size that was asked for, and no VM."""
        cids = {await self.make(2048), await self.make(2048, filesystem="xfs")}
        self.assertEqual(len(cids), 2)
        for disk_cid in cids:
            self.assertTrue(self.disks.exists(disk_cid))
            self.assertIsNone(self.disks.attached_to(disk_cid))
            self.assertEqual(self.record(disk_cid).size, 2048)
        kinds = {self.record(disk_cid).filesystem for disk_cid in cids}
        self.assertEqual(kinds, {"ext4", "xfs"})
        self.assertEqual(os.listdir(self.depot.scratch), [])

    async def test_arguments(self) -> None:
        """Bad arguments of create_disk are refused before the driver does anything."""
        bad: list[tuple[Any, Any]] = [
            *[(size, {}) for size in (0, -1, 1.5, True, "1024", None, 1 << 29)],
            *((1024, None), (1024, []), (1024, "ext4")),
            *[(1024, {"filesystem": name}) for name in ("btrfs", 4, None, ["ext4"])],
        ]
        for size, properties in bad:
            with self.assertRaises(InvalidArgument):
                await self.disks.create(size, properties)
        self.assertEqual(self.script.done, [])
        self.assert_nothing_left()

    async def test_a_failing_creation_leaves_nothing(self) -> None:
        """A creation that fails leaves neither a disk nor a promise of room."""
        for error in (CloudError("mkfs"), OSError(errno.ENOSPC, "No space left")):
            self.script.failing = {"create": error}
            with self.assertRaises(type(error)):
                await self.make(7000)
        self.script.failing.clear()
        self.assert_nothing_left()
        await self.make(7000)

    async def test_a_failing_undo_does_not_hide_the_cause(self) -> None:
        """The caller gets the error of the creation, not that of its undoing."""
        self.script.failing = {"create": NoDiskSpace("the cause")}
        self.host.failing = {"remove": CloudError("another matter")}
        with self.assertRaises(NoDiskSpace):
            await self.make()
        self.flushLoggedErrors(CloudError)

    async def test_attach(self) -> None:
        """After attach_disk the record names the VM, and the VM sees the disk."""
        disk_cid = await self.make()
        self.assertEqual(await self.attach(disk_cid), f"/dev/{disk_cid}")
        self.assertEqual(self.seen(), {disk_cid})
        self.assertEqual(self.record(disk_cid).attached_to, "vm-1")
        self.assertEqual([disk.disk_cid for disk in self.disks.of("vm-1")], [disk_cid])
        self.assertEqual(self.disks.owners(), {"vm-1"})

    async def test_attach_again(self) -> None:
        """A repeated attach_disk gives the same answer, and shows the disk again."""
        disk_cid = await self.make()
        hint = await self.attach(disk_cid)
        self.driver.seen.clear()
        self.assertEqual(await self.attach(disk_cid), hint)
        self.assertEqual(self.seen(), {disk_cid})

    async def test_an_attachment_that_fails_again(self) -> None:
        """A disk stays with its VM when a repeated attach_disk fails."""
        disk_cid = await self.make()
        await self.attach(disk_cid)
        self.script.failing = {"attach": CloudError("no")}
        with self.assertRaises(CloudError):
            await self.attach(disk_cid)
        self.assertNotIn("detach", self.script.done)
        self.assertEqual(self.record(disk_cid).attached_to, "vm-1")

    async def test_a_second_vm_is_refused(self) -> None:
        """A disk that a VM has is refused to another VM."""
        disk_cid = await self.make()
        await self.attach(disk_cid)
        with self.assertRaises(DiskAttached) as caught:
            await self.attach(disk_cid, "vm-2")
        self.assertIn("vm-1", str(caught.exception))
        self.assertEqual((self.seen(), self.seen("vm-2")), ({disk_cid}, set()))

    async def test_two_vms_at_once(self) -> None:
        """Of two VMs that ask for a disk at the same time the second one is refused."""
        disk_cid = await self.make()
        gate = self.script.pending["attach"] = Deferred()
        first = Deferred.fromCoroutine(self.attach(disk_cid))
        second = Deferred.fromCoroutine(self.attach(disk_cid, "vm-2"))
        while "attach" not in self.script.done:
            await self.breath()
        gate.callback(None)
        await first
        with self.assertRaises(DiskAttached):
            await second
        self.assertEqual(self.script.done.count("attach"), 1)

    async def breath(self) -> None:
        """Let the threads of the reactor go on; the test's own limit ends it."""
        from twisted.internet import reactor
        from twisted.internet.task import deferLater

        await deferLater(reactor, 0)

    async def test_a_failing_attachment_is_taken_back(self) -> None:
        """A disk whose first attachment failed has no VM; the caller gets that error."""
        disk_cid = await self.make()
        self.script.failing = {"attach": CloudError("the cause")}
        with self.assertRaises(CloudError) as caught:
            await self.attach(disk_cid)
        self.assertEqual(str(caught.exception), "the cause")
        self.assertIsNone(self.record(disk_cid).attached_to)
        self.assertEqual(self.disks.owners(), set())
        self.script.failing.clear()
        await self.attach(disk_cid, "vm-2")

    async def test_taking_back_leaves_the_vm_its_other_disks(self) -> None:
        """When an attachment is undone the VM may still open its other disks."""
        first, second = await self.make(), await self.make()
        await self.attach(first)
        self.script.failing = {"attach": CloudError("no")}
        with self.assertRaises(CloudError):
            await self.attach(second)
        self.assertEqual(self.script.done[-1], "detach")
        self.assertEqual(self.driver.kept, [first])

    async def test_taking_back_may_fail(self) -> None:
        """An undoing that fails is logged, and the disk stays with the VM."""
        disk_cid = await self.make()
        self.script.failing = {
            "attach": CloudError("the cause"),
            "detach": DiskBusy("another matter"),
        }
        with self.assertRaises(CloudError) as caught:
            await self.attach(disk_cid)
        self.assertEqual(str(caught.exception), "the cause")
        self.assertEqual(len(self.flushLoggedErrors(DiskBusy)), 1)
        self.assertEqual(self.disks.attached_to(disk_cid), "vm-1")

    async def test_what_the_driver_is_told(self) -> None:
        """The driver is told of all disks that the VM has after the call."""
        first, second = await self.make(), await self.make()
        await self.attach(first)
        await self.attach(second)
        self.assertEqual(sorted(self.driver.kept), sorted([first, second]))
        await self.detach(first)
        self.assertEqual(self.driver.kept, [second])

    async def test_detach(self) -> None:
        """A disk that was detached can be attached to another VM."""
        disk_cid = await self.make()
        await self.attach(disk_cid)
        await self.detach(disk_cid)
        self.assertEqual((self.seen(), self.disks.of("vm-1")), (set(), []))
        await self.attach(disk_cid, "vm-2")
        self.assertEqual(self.seen("vm-2"), {disk_cid})

    async def test_a_disk_in_use_stays(self) -> None:
        """A disk that a process uses stays attached, and can be detached later."""
        disk_cid = await self.make()
        await self.attach(disk_cid)
        self.script.failing = {"detach": DiskBusy("by process 7")}
        with self.assertRaises(DiskBusy):
            await self.detach(disk_cid)
        self.assertEqual(self.record(disk_cid).attached_to, "vm-1")
        self.script.failing.clear()
        await self.detach(disk_cid)

    async def test_detach_of_what_is_not_attached(self) -> None:
        """detach_disk says that a disk is not attached to the VM it was given."""
        disk_cid = await self.make()
        with self.assertRaises(DiskNotAttached):
            await self.detach(disk_cid)
        await self.attach(disk_cid)
        with self.assertRaises(DiskNotAttached):
            await self.detach(disk_cid, "vm-2")
        self.assertEqual(self.seen(), {disk_cid})

    async def test_delete(self) -> None:
        """To delete a disk twice is no error."""
        disk_cid = await self.make()
        for _ in range(2):
            await self.disks.delete(disk_cid)
        self.assert_nothing_left()

    async def test_an_attached_disk_is_not_deleted(self) -> None:
        """A disk that a VM has is not deleted."""
        disk_cid = await self.make()
        await self.attach(disk_cid)
        with self.assertRaises(DiskAttached):
            await self.disks.delete(disk_cid)
        self.assertTrue((self.depot.disks / disk_cid / "image").exists())
        await self.detach(disk_cid)
        await self.disks.delete(disk_cid)

    async def test_unknown_disks(self) -> None:
        """Calls about an unknown disk name it in their error."""
        self.assertFalse(self.disks.exists("disk-x"))
        for work in (
            self.attach("disk-x"),
            self.detach("disk-x"),
            self.disks.resize("disk-x", 2048, None),
            self.disks.update("disk-x", 2048, {}, None),
            self.disks.set_metadata("disk-x", {}),
            self.snapshots.create("disk-x", {}, None),
        ):
            with self.assertRaises(DiskNotFound) as caught:
                await work
            self.assertIn("'disk-x'", str(caught.exception))

    async def test_what_the_settings_name(self) -> None:
        """The settings name the disks that the agent is not told of by the Director."""
        told, untold = await self.make(), await self.make()
        await self.attach(told)
        await self.attach(untold, told=False)
        self.assertEqual(self.disks.hints("vm-1"), {untold: f"/dev/{untold}"})
        await self.detach(untold)
        self.assertFalse(self.record(untold).in_settings)
