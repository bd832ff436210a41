"""The disks of VMs: who is told of them, what a boot prepares, what a deletion frees."""

from __future__ import annotations

import json
import os
from typing import Any

from runc_cpi.daemon.vms.new_vm import NewVM
from runc_cpi.daemon.vms.vm import VM
from runc_cpi.errors import (
    CloudError,
    DiskAttached,
    DiskBusy,
    DiskNotAttached,
    DiskNotFound,
    NoDiskSpace,
    VMCreationFailed,
    VMNotFound,
)
from tests.unit.disks.disk_case import DiskTestCase

SETTINGS = "var/vcap/bosh/warden-cpi-agent-env.json"


class VMDisksTests(DiskTestCase):
    """Disks of VMs that run, or do not."""

    async def setUp(self) -> None:
        await super().setUp()
        image = os.open(os.devnull, os.O_RDONLY)
        try:
            self.stemcell_cid = (await self.stemcells.create(image, {})).cid
        finally:
            os.close(image)

    async def create(self, **cloud_properties: Any) -> VM:
        """Create a VM."""
        new = NewVM.parse(
            agent_id="agent-1",
            stemcell_cid=self.stemcell_cid,
            cloud_properties=cloud_properties,
            networks={"n": {"type": "dynamic"}},
            disk_cids=[],
            env={},
            agent={},
        )
        return await self.vms.create(new)

    def persistent(self, text: str) -> Any:
        """Return what settings say of disks."""
        return json.loads(text)["disks"]["persistent"]

    async def test_an_agent_that_is_told_by_the_director(self) -> None:
        """The settings file stays as it is if the Director tells the agent of a disk."""
        vm, disk_cid = await self.create(), await self.make()
        hint = await self.vms.attach_disk(vm.vm_cid, disk_cid, in_settings=False)
        self.assertEqual(hint, f"/dev/{disk_cid}")
        self.assertEqual(self.guests.written, {})
        self.assertEqual(self.vms.disks_of(vm.vm_cid), [disk_cid])
        await self.vms.detach_disk(vm.vm_cid, disk_cid)
        self.assertEqual(self.guests.written, {})
        self.assertEqual(self.vms.disks_of(vm.vm_cid), [])

    async def test_an_agent_that_is_not(self) -> None:
        """The settings file names a disk that the Director does not tell the agent of."""
        vm, disk_cid = await self.create(), await self.make()
        await self.vms.attach_disk(vm.vm_cid, disk_cid, in_settings=True)
        found = self.persistent(self.guests.written[SETTINGS])
        self.assertEqual(found, {disk_cid: f"/dev/{disk_cid}"})
        await self.vms.detach_disk(vm.vm_cid, disk_cid)
        self.assertEqual(self.persistent(self.guests.written[SETTINGS]), {})

    async def test_settings_of_a_stopped_vm(self) -> None:
        """The settings file of a stopped VM is written, for root alone to read."""
        vm, disk_cid = await self.create(), await self.make()
        self.runtime.running.clear()
        await self.vms.attach_disk(vm.vm_cid, disk_cid, in_settings=True)
        path = self.depot.vms / vm.vm_cid / "upper" / SETTINGS
        self.assertEqual(set(self.persistent(path.read_text())), {disk_cid})
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.guests.written, {})

    async def test_settings_that_cannot_be_written(self) -> None:
        """An attach_disk that could not write the settings file succeeds the next time."""
        vm, disk_cid = await self.create(), await self.make()
        self.host.failing = {"write settings": CloudError("no")}
        with self.assertRaises(CloudError):
            await self.vms.attach_disk(vm.vm_cid, disk_cid, in_settings=True)
        self.host.failing.clear()
        await self.vms.attach_disk(vm.vm_cid, disk_cid, in_settings=True)
        self.assertEqual(set(self.persistent(self.guests.written[SETTINGS])), {disk_cid})

    async def test_named_until_it_is_detached(self) -> None:
        """A disk is named in the settings file until it is detached."""
        vm, disk_cid = await self.create(), await self.make()
        for in_settings in (True, False):
            await self.vms.attach_disk(vm.vm_cid, disk_cid, in_settings=in_settings)
            found = self.persistent(self.guests.written[SETTINGS])
            self.assertEqual(set(found), {disk_cid})
        await self.vms.detach_disk(vm.vm_cid, disk_cid)
        self.assertEqual(self.persistent(self.guests.written[SETTINGS]), {})
        self.assertFalse(self.record(disk_cid).in_settings)

    async def test_a_disk_in_use_is_named_again(self) -> None:
        """A disk that cannot be detached is named in the settings file again."""
        vm, disk_cid = await self.create(), await self.make()
        await self.vms.attach_disk(vm.vm_cid, disk_cid, in_settings=True)
        self.script.failing = {"detach": DiskBusy("in use")}
        with self.assertRaises(DiskBusy):
            await self.vms.detach_disk(vm.vm_cid, disk_cid)
        self.assertEqual(set(self.persistent(self.guests.written[SETTINGS])), {disk_cid})

    async def test_a_boot_again_that_fails(self) -> None:
        """A reboot that fails leaves nothing running, and the next one may succeed."""
        vm = await self.create()
        self.script.failing = {"booted": CloudError("no file system")}
        with self.assertRaises(CloudError):
            await self.vms.reboot(vm.vm_cid)
        self.assertFalse(self.vms.is_running(vm.vm_cid))
        self.script.failing = {}
        await self.vms.reboot(vm.vm_cid)
        self.assertTrue(self.vms.is_running(vm.vm_cid))

    async def test_what_is_not_there(self) -> None:
        """An unknown VM and an unknown disk are errors of their own."""
        vm, disk_cid = await self.create(), await self.make()
        for work, error in (
            (self.vms.attach_disk("vm-x", disk_cid, in_settings=True), VMNotFound),
            (self.vms.attach_disk(vm.vm_cid, "disk-x", in_settings=True), DiskNotFound),
            (self.vms.detach_disk("vm-x", disk_cid), VMNotFound),
            (self.vms.detach_disk(vm.vm_cid, "disk-x"), DiskNotFound),
            (self.vms.detach_disk(vm.vm_cid, disk_cid), DiskNotAttached),
        ):
            with self.assertRaises(error):
                await work
        with self.assertRaises(VMNotFound):
            self.vms.disks_of("vm-x")

    async def test_a_disk_of_another_vm(self) -> None:
        """A disk that a VM has cannot be attached to another VM."""
        first, second, disk_cid = (
            await self.create(),
            await self.create(),
            await self.make(),
        )
        await self.vms.attach_disk(first.vm_cid, disk_cid, in_settings=False)
        with self.assertRaises(DiskAttached):
            await self.vms.attach_disk(second.vm_cid, disk_cid, in_settings=False)

    async def test_a_boot_brings_the_disks(self) -> None:
        """The disks of a VM are in its specification before the container is made."""
        vm, disk_cid = await self.create(), await self.make()
        await self.vms.attach_disk(vm.vm_cid, disk_cid, in_settings=False)
        note = self.depot.vms / vm.vm_cid / "upper/var/vcap/bosh/managed_disk_settings.json"
        note.write_text(disk_cid)
        self.script.done.clear()
        await self.vms.reboot(vm.vm_cid)
        self.assertEqual(self.script.done, ["halted", "boot", "booted"])
        self.assertEqual(self.driver.store, disk_cid)
        spec = json.loads((self.depot.vms / vm.vm_cid / "config.json").read_text())
        self.assertEqual(spec["linux"]["devices"], [{"path": f"/dev/{disk_cid}"}])

    async def test_a_boot_without_the_disk_that_was_mounted(self) -> None:
        """The agent's note of a mounted disk is removed if the VM lacks that disk."""
        vm = await self.create()
        note = self.depot.vms / vm.vm_cid / "upper/var/vcap/bosh/managed_disk_settings.json"
        note.write_text("disk-gone")
        await self.vms.reboot(vm.vm_cid)
        self.assertFalse(note.exists())
        self.assertIsNone(self.driver.store)

    async def test_a_boot_that_fails_is_undone(self) -> None:
        """A create_vm whose disks fail leaves nothing."""
        for step in ("boot", "booted", "make_ephemeral"):
            self.script.failing = {step: CloudError(f"{step} is broken")}
            with self.assertRaises(VMCreationFailed):
                await self.create(ephemeral_disk_size=64)
        self.assertEqual(os.listdir(self.depot.vms), [])

    async def test_an_ephemeral_disk(self) -> None:
        """An ephemeral disk is made if a size is asked for, and there is room."""
        await self.create()
        self.assertNotIn("make_ephemeral", self.script.done)
        await self.create(ephemeral_disk_size=64)
        self.assertIn("make_ephemeral", self.script.done)
        with self.assertRaises(NoDiskSpace):
            await self.create(ephemeral_disk_size=9000)

    async def test_delete_frees_the_disks(self) -> None:
        """The disks of a VM that is deleted are free, with all that is on them."""
        vm, disk_cid = await self.create(), await self.make()
        await self.vms.attach_disk(vm.vm_cid, disk_cid, in_settings=False)
        await self.vms.delete(vm.vm_cid)
        self.assertIsNone(self.record(disk_cid).attached_to)
        self.assertTrue((self.depot.disks / disk_cid / "image").exists())

    async def test_a_deletion_that_cannot_free_a_disk(self) -> None:
        """A VM whose disk cannot be freed is still there, and can be deleted again."""
        vm, disk_cid = await self.create(), await self.make()
        await self.vms.attach_disk(vm.vm_cid, disk_cid, in_settings=False)
        self.script.failing = {"detach": CloudError("no")}
        with self.assertRaises(CloudError):
            await self.vms.delete(vm.vm_cid)
        self.assertTrue(self.vms.exists(vm.vm_cid))
        self.script.failing.clear()
        await self.vms.delete(vm.vm_cid)
        self.assertFalse(self.vms.exists(vm.vm_cid))
        self.assertIsNone(self.disks.attached_to(disk_cid))

    async def restart(self) -> None:
        """Have the daemon end and begin, while containers run on."""
        running, made = self.runtime.running, self.runtime.made
        parts_before = self.runtime
        await self.begin_over(running, made)
        self.assertIsNot(self.runtime, parts_before)

    async def begin_over(self, running: set[str], made: set[str]) -> None:
        """Start a daemon where containers run."""
        from tests.fakes.assembly import assemble

        parts = assemble(self.host, self.depot, self.script)
        parts.runtime.running |= running
        parts.runtime.made |= made
        self.disks, self.vms, self.driver = parts.disks, parts.vms, parts.driver
        self.stemcells, self.runtime = parts.stemcells, parts.runtime
        self.script.done.clear()
        self.reconciler = parts.reconciler
        self.repairs = await parts.load()

    async def test_a_running_vm_sees_its_disks_after_a_crash(self) -> None:
        """A start of the daemon shows a running VM its disks, and thaws them."""
        vm, disk_cid = await self.create(), await self.make()
        await self.vms.attach_disk(vm.vm_cid, disk_cid, in_settings=False)
        await self.restart()
        self.assertEqual(self.script.done, ["attach", "thaw", "sweep"])
        self.assertEqual(self.seen(vm.vm_cid), {disk_cid})

    async def test_a_stopped_vm_keeps_its_disks(self) -> None:
        """A start of the daemon leaves the disks of a stopped VM to its next boot."""
        vm, disk_cid = await self.create(), await self.make()
        await self.vms.attach_disk(vm.vm_cid, disk_cid, in_settings=False)
        self.runtime.running.clear()
        await self.restart()
        self.assertEqual(self.script.done, ["sweep"])
        self.assertEqual(self.vms.disks_of(vm.vm_cid), [disk_cid])

    async def test_a_vm_whose_record_cannot_be_read_keeps_its_disks(self) -> None:
        """A VM whose record cannot be read keeps its disks: it may run and use them."""
        vm, disk_cid = await self.create(), await self.make()
        await self.vms.attach_disk(vm.vm_cid, disk_cid, in_settings=False)
        (self.depot.vms / vm.vm_cid / "vm.json").write_text("{ cut short")
        await self.restart()
        self.assertNotIn("detach", self.script.done)
        self.assertEqual(self.disks.attached_to(disk_cid), vm.vm_cid)

    async def test_work_on_a_disk_holds_its_vm(self) -> None:
        """Work on a disk knows the container of the VM that has the disk."""
        vm, disk_cid, free = await self.create(), await self.make(), await self.make()
        await self.vms.attach_disk(vm.vm_cid, disk_cid, in_settings=False)
        async with self.vms.holding(disk_cid) as container:
            assert container is not None
            self.assertEqual(container.bundle.vm_cid, vm.vm_cid)
            self.assertIsNotNone(container.pid)
        async with self.vms.holding(free) as container:
            self.assertIsNone(container)
        with self.assertRaises(DiskNotFound):
            async with self.vms.holding("disk-x"):
                pass

    async def test_lost_vms_come_back(self) -> None:
        """VMs that a reboot of the host took down are booted, and no others."""
        lost, ended, disk_cid = await self.create(), await self.create(), await self.make()
        await self.vms.attach_disk(lost.vm_cid, disk_cid, in_settings=False)
        await self.begin_over(set(), {ended.vm_cid})
        await self.reconciler.bring_back(self.repairs)
        self.assertTrue(self.vms.is_running(lost.vm_cid))
        self.assertFalse(self.vms.is_running(ended.vm_cid))
        self.assertIn("boot", self.script.done)

    async def test_a_vm_that_does_not_come_back(self) -> None:
        """A VM that cannot be booted again holds up no other."""
        vms = [await self.create(), await self.create()]
        await self.begin_over(set(), set())
        self.script.failing = {"boot": CloudError("no")}
        await self.reconciler.bring_back(self.repairs)
        self.assertEqual(len(self.vms.all()), len(vms))
        self.script.failing.clear()
        await self.reconciler.bring_back(self.repairs)
        self.assertTrue(all(self.vms.is_running(vm.vm_cid) for vm in vms))
