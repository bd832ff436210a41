"""What could not be removed is tried again."""

from __future__ import annotations

import os

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from runc_cpi.errors import CloudError, StillRunning
from tests.fakes.assembly import new_vm
from tests.unit.reconcile.reconcile_case import ReconcileTestCase

INTERVAL = 300.0  # seconds between two attempts


class ClearingTests(ReconcileTestCase):
    """A daemon that keeps clearing."""

    async def pass_on(self) -> None:
        """Have a round of clearing come and end."""
        self.clock.advance(INTERVAL)
        begin = self.clock.seconds() + INTERVAL
        while begin not in [call.getTime() for call in self.clock.getDelayedCalls()]:
            await deferLater(reactor, 0.01)

    async def test_what_cannot_be_removed(self) -> None:
        """Files that could not be removed, and a VM that did not end, are tried again."""
        first = await self.begin(restart=False)
        second = await self.vms.create(new_vm(self.stemcell_cid))
        self.parts.leftovers.keep_clearing(INTERVAL)
        self.addCleanup(self.tasks.cancel)
        self.script.failing["remove"] = CloudError("stuck")
        await self.vms.delete(first.vm_cid)
        self.runtime.hanging = True
        with self.assertRaises(StillRunning):
            await self.vms.delete(second.vm_cid)
        await self.pass_on()
        self.assertTrue(self.vms.exists(second.vm_cid))
        self.assertEqual(len(os.listdir(self.depot.scratch)), 1)
        self.runtime.hanging = False
        self.script.failing.clear()
        await self.pass_on()
        self.assertFalse(self.vms.exists(second.vm_cid))
        self.assertEqual(os.listdir(self.depot.scratch), [])
        self.tasks.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_a_removal_that_hangs(self) -> None:
        """It does not keep the next round from coming, which does all else."""
        vm = await self.begin(restart=False)
        self.parts.leftovers.keep_clearing(INTERVAL)
        self.addCleanup(self.tasks.cancel)
        self.script.failing["remove"] = CloudError("stuck")
        await self.vms.delete(vm.vm_cid)
        self.script.failing.clear()
        self.script.pending["remove"] = Deferred()
        await self.pass_on()
        del self.script.pending["remove"]
        (self.depot.scratch / "left").mkdir()
        await self.pass_on()
        self.assertEqual(os.listdir(self.depot.scratch), [])

    async def test_a_round_that_fails(self) -> None:
        """A round of clearing that fails is logged as a bug, and the next one comes."""
        await self.begin(restart=False)
        self.parts.leftovers.keep_clearing(INTERVAL)
        self.addCleanup(self.tasks.cancel)
        self.script.failing["connected"] = KeyError("x")
        self.patch(self.parts.networker, "connected", lambda: self.script.act("connected"))
        await self.pass_on()
        self.assertIn("bug: clearing failed", self.log())
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        await self.pass_on()
        self.assertEqual(self.log().count("bug: clearing failed"), 2)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
