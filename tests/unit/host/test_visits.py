"""Visits to VMs that end, fail, hang, and come back when nobody waits any more."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.host.guests.visits import AT_ONCE, Visits
from runc_cpi.errors import CloudError

PATIENCE = 60.0


class Time(Clock):
    """Time that passes when a test says so; threads come back in the real reactor."""

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self.callFromThread = reactor.callFromThread


class VisitsTests(TestCase):
    """One daemon's visits."""

    timeout = 120

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor, self.time = reactor, Time(reactor)
        self.visits = Visits(self.time, 30)
        self.doors: list[threading.Event] = []
        self.addCleanup(self.open_all)

    def open_all(self) -> None:
        """End what waits."""
        for door in self.doors:
            door.set()

    def hanging(self, result: int = 0) -> tuple[Callable[[], int], threading.Event]:
        """Return work that does not end before the door is opened."""
        door = threading.Event()
        self.doors.append(door)

        def work() -> int:
            assert door.wait(PATIENCE)
            return result

        return work, door

    def begin(self, vm_cid: str, work: Callable[[], int], **options: Any) -> Deferred[int]:
        """Begin a visit."""
        return Deferred.fromCoroutine(self.visits.run(vm_cid, work, **options))

    async def until(self, true: Callable[[], object]) -> None:
        """Wait for a thread."""
        while not true():
            await deferLater(self.reactor, 0.01)

    async def test_results_and_errors(self) -> None:
        """A visit returns what its work does; an error of the kernel names the VM."""
        self.assertEqual(await self.visits.run("vm-1", lambda: 7), 7)

        def refused() -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), "there")

        with pytest.raises(CloudError, match=r"^vm-1: .*not permitted: 'there'$"):
            await self.visits.run("vm-1", refused)
        with pytest.raises(RecursionError):
            await self.visits.run("vm-1", _recurse)
        self.assertEqual(self.time.getDelayedCalls(), [])

    async def test_one_that_hangs(self) -> None:
        """A visit that hangs is given up; only its VM is refused until it comes back."""
        work, door = self.hanging()
        visit = self.begin("vm-1", work)
        self.time.advance(30)
        with pytest.raises(CloudError, match=r"vm-1: .* within 30 s \(visit_timeout\)"):
            await visit
        with pytest.raises(CloudError, match=r"vm-1: an earlier visit .* still hangs"):
            await self.visits.run("vm-1", lambda: 7)
        self.assertEqual(await self.visits.run("vm-2", lambda: 7), 7)
        door.set()
        answers: list[int] = []
        while not answers:
            try:
                answers.append(await self.visits.run("vm-1", lambda: 7))
            except CloudError:
                await deferLater(self.reactor, 0.01)

    async def test_many_that_hang(self) -> None:
        """Visits that wait for a slot get it once visits that hang are given up."""
        visits = [self.begin(f"vm-{n}", self.hanging()[0]) for n in range(AT_ONCE)]
        late = self.begin("other", lambda: 7)
        self.assertFalse(late.called)
        self.time.advance(30)
        for visit in visits:
            with pytest.raises(CloudError):
                await visit
        self.assertEqual(await late, 7)

    async def test_a_result_that_nobody_waits_for(self) -> None:
        """The result of a visit that comes back too late is let go of."""
        unwanted: list[int] = []
        work, door = self.hanging(7)
        visit = self.begin("vm-1", work, seconds=5, unwanted=unwanted.append)
        self.time.advance(5)
        with pytest.raises(CloudError):
            await visit
        door.set()
        await self.until(lambda: unwanted == [7])

    async def test_the_end_of_the_daemon(self) -> None:
        """Visits under way fail when the daemon ends, and do not keep it running."""
        visit = self.begin("vm-1", self.hanging()[0])
        self.visits.close()
        with pytest.raises(CloudError, match="the daemon ends"):
            await visit
        self.assertEqual(self.time.getDelayedCalls(), [])
        threads = [t for t in threading.enumerate() if t.name.startswith("visit ")]
        self.assertTrue(threads)
        self.assertTrue(all(thread.daemon for thread in threads))

    async def test_each_has_a_thread_of_its_own(self) -> None:
        """Each visit has a new thread, for a thread can be lost in a VM."""
        threads = [
            await self.visits.run("vm-1", threading.current_thread) for _ in range(3)
        ]
        self.assertEqual(len(set(threads)), 3)


def _recurse() -> None:
    _recurse()
