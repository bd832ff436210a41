"""VMs that end by themselves: which are booted again, when, and what is noted."""

from __future__ import annotations

import signal

from runc_cpi.daemon.reconcile.restarts import FIRST_PAUSE, LONGEST_PAUSE, STEADY_SECONDS
from tests.unit.reconcile.reconcile_case import ReconcileTestCase

KILLED = int(signal.SIGKILL)
EXITED_0 = 0


class RestartTests(ReconcileTestCase):
    """A daemon that boots failed VMs again, or does not."""

    async def test_without_a_policy(self) -> None:
        """A VM that failed stays down unless it is to be restarted, and that is noted."""
        vm = await self.begin(restart=False)
        self.end(vm, KILLED)
        noted = await self.settled(vm)
        assert noted.end is not None
        self.assertEqual((noted.stopped, noted.end.signal), (True, KILLED))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        await self.vms.reboot(vm.vm_cid)
        noted = await self.settled(vm)
        self.assertEqual((noted.stopped, noted.end), (False, None))

    async def test_a_halt(self) -> None:
        """A VM that was halted from within stays down: whoever halted it wanted that."""
        vm = await self.begin(restart=True)
        self.end(vm, EXITED_0)
        self.assertTrue((await self.settled(vm)).stopped)

    async def test_failures_in_a_row(self) -> None:
        """Each failure in a row makes the pause longer, and a steady run ends the row."""
        vm = await self.begin(restart=True)
        pauses = []
        for _ in range(8):
            self.end(vm, KILLED)
            (call,) = self.clock.getDelayedCalls()
            pauses.append(call.getTime() - self.clock.seconds())
            self.clock.advance(pauses[-1])
            self.assertFalse((await self.settled(vm)).stopped)
            self.assertTrue(self.vms.is_running(vm.vm_cid))
        self.assertEqual(pauses, [1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE])
        self.clock.advance(STEADY_SECONDS + 1)
        self.end(vm, KILLED)
        (call,) = self.clock.getDelayedCalls()
        self.assertEqual(call.getTime() - self.clock.seconds(), FIRST_PAUSE)

    async def test_deleted_meanwhile(self) -> None:
        """A VM that is deleted during the pause is not booted after it."""
        vm = await self.begin(restart=True)
        self.end(vm, KILLED)
        await self.vms.delete(vm.vm_cid)
        self.script.done.clear()
        self.clock.advance(FIRST_PAUSE)
        self.assertEqual(self.script.done, [])

    async def test_what_was_asked_for_is_no_end(self) -> None:
        """A VM that is rebooted or deleted has not ended by itself."""
        vm = await self.begin(restart=True)
        first = self.runtime.watched[vm.vm_cid]
        await self.vms.reboot(vm.vm_cid)
        self.assertIsNot(self.runtime.watched[vm.vm_cid], first)
        await self.vms.delete(vm.vm_cid)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_a_stop_during_the_pause(self) -> None:
        """A stop does not wait for the pause to end, and says who was not booted again."""
        vm = await self.begin(restart=True)
        self.end(vm, KILLED)
        self.assertTrue(await self.tasks.wait(10))
        self.tasks.cancel()
        self.assertIn(f"{vm.vm_cid} was not booted again before the stop", self.log())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse((await self.settled(vm)).stopped)
