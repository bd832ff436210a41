"""VMs that the operator stops and starts, and what they use, over fakes of the host."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import TestCase

from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.vms import progress
from runc_cpi.errors import CloudError, StillRunning, VMNotFound
from tests.fakes.assembly import Assembly, assemble, new_vm
from tests.fakes.script import Script
from tests.fakes.vms import USAGE


class PowerTests(TestCase):
    """The switch of a VM."""

    timeout = 20

    async def setUp(self) -> None:
        self.depot = Depot(Path(os.path.abspath(self.mktemp())))
        self.depot.prepare()
        self.addCleanup(self.depot.release)
        self.parts = await self.begin()
        image = os.open(os.devnull, os.O_RDONLY)
        try:
            stemcell = await self.parts.stemcells.create(image, {})
        finally:
            os.close(image)
        self.vm_cid = (await self.parts.vms.create(new_vm(stemcell.cid))).vm_cid

    async def begin(self) -> Assembly:
        """Start a daemon over what is on disk."""
        parts = assemble(Script(), self.depot)
        repairs = await parts.load()
        await parts.reconciler.bring_back(repairs)
        return parts

    async def test_a_stop_lasts(self) -> None:
        """A VM that was stopped stays down, for the next daemon as well."""
        for _ in range(2):
            await self.parts.power.stop(self.vm_cid)
            self.assertFalse(self.parts.vms.is_running(self.vm_cid))
        later = await self.begin()
        self.assertFalse(later.vms.is_running(self.vm_cid))
        self.assertTrue(later.vms.exists(self.vm_cid))

    async def test_a_start(self) -> None:
        """A VM that is down is booted, and one that runs is left as it is."""
        await self.parts.power.stop(self.vm_cid)
        await self.parts.power.start(self.vm_cid)
        self.assertTrue(self.parts.vms.is_running(self.vm_cid))
        self.parts.runtime.script.done.clear()
        await self.parts.power.start(self.vm_cid)
        self.assertEqual(self.parts.runtime.script.done, [])
        (vm,) = self.parts.vms.all()
        self.assertFalse(vm.stopped)

    async def test_a_stop_that_fails(self) -> None:
        """A VM that does not end is none that stopped, and is watched on."""
        self.parts.runtime.hanging = True
        with self.assertRaises(StillRunning):
            await self.parts.power.stop(self.vm_cid)
        (vm,) = self.parts.vms.all()
        self.assertFalse(vm.stopped)
        self.assertIn(self.vm_cid, self.parts.runtime.watched)

    async def test_a_stop_that_fails_halfway(self) -> None:
        """It is noted that the VM is down, since nobody watches; another stop mends it."""
        self.parts.runtime.script.failing["disconnect"] = CloudError("no")
        for _ in range(2):
            with self.assertRaises(CloudError):
                await self.parts.power.stop(self.vm_cid)
            async with self.parts.locks.vm(self.vm_cid):
                pass  # it is noted by now
            self.assertEqual(await self.state(), "ended")
        self.parts.runtime.script.failing.clear()
        await self.parts.power.stop(self.vm_cid)
        self.assertEqual(await self.state(), "stopped")

    async def test_a_stop_that_is_cut_off(self) -> None:
        """A VM whose stop did not get so far as its record is booted by the next daemon."""
        (vm,) = self.parts.vms.all()
        stemcell = self.parts.stemcells.get(vm.stemcell_cid)
        await self.parts.containers.halt(vm, stemcell)
        later = await self.begin()
        self.assertTrue(later.vms.is_running(self.vm_cid))

    async def reboot_in_vain(self) -> None:
        """Have a reboot fail when the VM is down."""
        script = self.parts.runtime.script
        script.failing["create"] = CloudError("no")
        with self.assertRaises(CloudError):
            await self.parts.vms.reboot(self.vm_cid)
        script.failing.clear()
        self.assertTrue(self.parts.containers.was_interrupted(self.vm_cid))

    async def test_a_stop_after_a_reboot_that_failed(self) -> None:
        """The stop comes last, so the VM stays down."""
        await self.reboot_in_vain()
        await self.parts.power.stop(self.vm_cid)
        self.assertFalse(self.parts.containers.was_interrupted(self.vm_cid))
        later = await self.begin()
        self.assertFalse(later.vms.is_running(self.vm_cid))

    async def test_a_reboot_that_failed_after_a_stop(self) -> None:
        """The reboot comes last, so the next daemon boots the VM."""
        await self.parts.power.stop(self.vm_cid)
        await self.reboot_in_vain()
        later = await self.begin()
        self.assertTrue(later.vms.is_running(self.vm_cid))

    async def test_a_stop_that_is_cut_off_after_a_reboot_that_failed(self) -> None:
        """A daemon that dies before the stop has come to its end loses no reboot."""
        await self.reboot_in_vain()
        self.patch(progress, "give_up", self.fail)
        with self.assertRaises(self.failureException):
            await self.parts.power.stop(self.vm_cid)
        (vm,) = self.parts.vms.all()
        self.assertTrue(vm.stopped)
        later = await self.begin()
        self.assertTrue(later.vms.is_running(self.vm_cid))

    async def state(self) -> str:
        """Return how the VM is."""
        return (await self.parts.vms.conditions.all())[self.vm_cid].value

    async def test_conditions(self) -> None:
        """It is told why a VM does not run."""
        self.assertEqual(await self.state(), "running")
        bundle = self.parts.containers.find(self.vm_cid).bundle
        self.parts.runtime.end(self.vm_cid)
        self.assertEqual(await self.state(), "restarting")
        progress.write(bundle, progress.Progress.HALTING)
        self.assertEqual(await self.state(), "interrupted")
        async with self.parts.locks.vm(self.vm_cid):
            self.assertEqual(await self.state(), "changing")
        await self.reboot_in_vain()
        self.assertEqual(await self.state(), "unbootable")
        await self.parts.power.stop(self.vm_cid)
        self.assertEqual(await self.state(), "stopped")

    async def test_an_end_is_no_stop(self) -> None:
        """A VM that ended by itself is told from one that was stopped, and how it ended."""
        for parts in (self.parts, None):
            self.parts = parts or await self.begin()
            if parts:
                self.parts.runtime.end(self.vm_cid)
                await self.parts.reconciler.repair()
            self.assertEqual(await self.state(), "ended")
            (vm,) = self.parts.vms.all()
            assert vm.end is not None
            self.assertEqual(str(vm.end), "ended, it is not known how")
        await self.parts.power.start(self.vm_cid)
        (vm,) = self.parts.vms.all()
        self.assertEqual((vm.stopped, vm.end), (False, None))

    async def test_a_record_that_cannot_be_read(self) -> None:
        """A VM that was set aside is listed as such."""
        (self.depot.vms / self.vm_cid / "vm.json").write_text("{")
        self.parts = await self.begin()
        self.assertEqual(await self.state(), "set_aside")

    async def test_no_vm(self) -> None:
        """A VM that is not there can neither be started nor stopped."""
        for switch in (self.parts.power.start, self.parts.power.stop):
            with self.assertRaises(VMNotFound):
                await switch("vm-x")

    async def test_usages(self) -> None:
        """What a VM uses is told while it runs."""
        self.parts.meter.usages[f"/c/{self.vm_cid}"] = USAGE
        self.assertEqual(dict(await self.parts.usages.all()), {self.vm_cid: USAGE})
        await self.parts.power.stop(self.vm_cid)
        self.assertEqual(dict(await self.parts.usages.all()), {})
