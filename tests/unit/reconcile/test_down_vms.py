"""VMs that a reboot of the host took down, and a stop while they are brought back."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.unit.reconcile.reconcile_case import ReconcileTestCase


class StopTests(ReconcileTestCase):
    """A daemon that is stopped while a VM is being brought back."""

    async def bring_back(self) -> tuple[str, Deferred[None], Deferred[None]]:
        """
        Start after a reboot of the host.

        @return: the VM, what holds up its boot, and what fires when all are back.
        """
        vm = await self.begin(restart=False)
        parts = await self.start()
        gate: Deferred[None] = Deferred()
        self.script.pending["start"] = gate
        self.script.done.clear()
        back = Deferred.fromCoroutine(parts.reconciler.bring_back(self.repairs))
        while "start" not in self.script.done:
            await deferLater(reactor, 0.001)
        return vm.vm_cid, gate, back

    async def test_it_is_waited_for(self) -> None:
        """A stop waits until a VM is back."""
        vm_cid, gate, back = await self.bring_back()
        waiting = Deferred.fromCoroutine(self.tasks.wait(10))
        self.assertNoResult(waiting)
        gate.callback(None)
        await back
        self.assertTrue(await waiting)
        self.assertIn(f"brought back {vm_cid}", self.repairs.done)
        self.assertTrue(self.vms.is_running(vm_cid))

    async def test_it_is_broken_off(self) -> None:
        """A stop that waited long enough names the VM, and the next start goes on."""
        vm_cid, _, back = await self.bring_back()
        waiting = Deferred.fromCoroutine(self.tasks.wait(10))
        self.clock.advance(10)
        self.assertFalse(await waiting)
        self.tasks.cancel()
        await back
        self.assertTrue(await self.tasks.wait(10))
        self.assertIn(f"broken off: bringing back {vm_cid}", self.log())
        self.assertEqual(self.repairs.problems, [])
        self.assertFalse(self.vms.is_running(vm_cid))
        self.script.pending.clear()
        parts = await self.start()
        await parts.reconciler.bring_back(self.repairs)
        self.assertIn(f"brought back {vm_cid}", self.repairs.done)
        self.assertTrue(self.vms.is_running(vm_cid))
