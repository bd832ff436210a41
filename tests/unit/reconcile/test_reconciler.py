"""VMs that end by themselves: which are booted again, when, and what is noted."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.reconcile.reconciler import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    STEADY_SECONDS,
)
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.records import read_record
from runc_cpi.daemon.vms.vm import VM
from runc_cpi.daemon.vms.watcher import describe, is_failure
from runc_cpi.errors import CloudError, StillRunning
from tests.fakes.assembly import assemble, new_vm
from tests.fakes.script import Script

# Seconds between two attempts to clear what is left.
INTERVAL = 300.0
KILLED, HALTED = int(signal.SIGKILL), int(signal.SIGINT)
EXITED_0, EXITED_3 = 0, 3 << 8


@pytest.mark.parametrize(
    ("status", "failed", "told"),
    [
        (EXITED_0, False, "ended with status 0"),
        (EXITED_3, True, "ended with status 3"),
        (HALTED, False, "was ended by signal 2"),
        (KILLED, True, "was ended by signal 9"),
        (None, True, "ended, it is not known how"),
    ],
)
def test_ends(status: int | None, failed: bool, told: str) -> None:
    """A halt from within is one of these, and no failure."""
    assert is_failure(status) is failed
    assert describe(status) == told


class KeeperTests(TestCase):
    """One daemon's reconciler, over a host that is made up."""

    timeout = 20

    async def setUp(self) -> None:
        self.script = Script()
        self.depot = Depot(Path(os.path.abspath(self.mktemp())))
        self.depot.prepare()
        self.addCleanup(self.depot.release)

    async def begin(self, *, restart: bool) -> VM:
        """Start a daemon with one VM."""
        parts = assemble(self.script, self.depot, restart=restart)
        await parts.load()
        self.runtime, self.vms, self.clock = parts.runtime, parts.vms, parts.clock
        self.reconciler = parts.reconciler
        image = os.open(os.devnull, os.O_RDONLY)
        try:
            stemcell = await parts.stemcells.create(image, {})
        finally:
            os.close(image)
        self.stemcell_cid = stemcell.cid
        return await self.vms.create(new_vm(self.stemcell_cid))

    def end(self, vm: VM, status: int | None) -> None:
        """Have a VM's first process end."""
        self.runtime.running.discard(vm.vm_cid)
        self.runtime.status = status
        self.runtime.watched.pop(vm.vm_cid).callback(True)

    async def settled(self, vm: VM) -> VM:
        """Wait until nothing is being done to a VM; return its record."""
        async with self.vms.locks(vm.vm_cid):
            return VM.from_json(read_record(self.depot.vms / vm.vm_cid / "vm.json"))

    async def test_without_a_policy(self) -> None:
        """It is noted, whatever it was, and the VM stays down."""
        vm = await self.begin(restart=False)
        self.end(vm, KILLED)
        self.assertTrue((await self.settled(vm)).stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        await self.vms.reboot(vm.vm_cid)
        self.assertFalse((await self.settled(vm)).stopped)

    async def test_a_halt(self) -> None:
        """Whoever halted it did not want it booted again."""
        vm = await self.begin(restart=True)
        self.end(vm, EXITED_0)
        self.assertTrue((await self.settled(vm)).stopped)

    async def test_failures_in_a_row(self) -> None:
        """Each is waited longer for, up to a bound; a steady run is a new start."""
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
        """There is nothing to boot when the pause is over."""
        vm = await self.begin(restart=True)
        self.end(vm, KILLED)
        await self.vms.delete(vm.vm_cid)
        self.script.done.clear()
        self.clock.advance(FIRST_PAUSE)
        self.assertEqual(self.script.done, [])

    async def test_what_was_asked_for_is_no_end(self) -> None:
        """A reboot and a deletion are not watched."""
        vm = await self.begin(restart=True)
        first = self.runtime.watched[vm.vm_cid]
        await self.vms.reboot(vm.vm_cid)
        self.assertIsNot(self.runtime.watched[vm.vm_cid], first)
        await self.vms.delete(vm.vm_cid)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def pass_on(self) -> None:
        """Have a round of clearing come and end."""
        self.clock.advance(INTERVAL)
        while self.clock.getDelayedCalls() == []:
            await deferLater(reactor, 0.01)

    async def test_what_cannot_be_removed(self) -> None:
        """It is tried again every so often, and so is a VM that did not end."""
        first = await self.begin(restart=False)
        second = await self.vms.create(new_vm(self.stemcell_cid))
        self.reconciler.keep_clearing(INTERVAL)
        self.addCleanup(self.reconciler.close)
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
        self.reconciler.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
