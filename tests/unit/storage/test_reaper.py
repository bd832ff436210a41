"""The reaper: bounded work after the answer, which a stop breaks off."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.storage.reaper import AT_MOST, AT_ONCE, PATIENCE, Reaper
from runc_cpi.errors import CloudError

COUNT = AT_ONCE + 2


class ReaperTests(SynchronousTestCase):
    """
    A reaper over a clock, and removals that end when the test says so.

    @ivar begun: the numbers of those that were begun.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.tasks = TaskGroup(self.clock)
        self.reaper = Reaper(self.clock, self.tasks)
        self.begun: list[int] = []
        self.gates: list[Deferred[None]] = [Deferred() for _ in range(COUNT)]
        self.ended = [self.reaper.remove(partial(self.work, n)) for n in range(COUNT)]

    def work(self, number: int) -> Awaitable[None]:
        """Begin the removal of a number."""
        self.begun.append(number)
        return self.gates[number]

    def frees(self) -> Deferred[bool]:
        """Wait for room."""
        return Deferred.fromCoroutine(self.reaper.frees(self.clock.seconds() + PATIENCE))

    def test_so_many_at_once(self) -> None:
        """The next one begins when one has ended; all that have not ended are counted."""
        self.assertEqual(self.begun, [*range(AT_ONCE)])
        self.assertEqual(self.reaper.backlog, COUNT)
        for number in range(COUNT):
            self.gates[number].callback(None)
            self.assertIsNone(self.successResultOf(self.ended[number]))
        self.assertEqual(self.begun, [*range(COUNT)])
        self.assertEqual(self.reaper.backlog, 0)

    def test_one_that_fails(self) -> None:
        """Its error is told to whoever began it, and the others go on."""
        self.gates[0].errback(CloudError("no"))
        self.assertEqual(str(self.failureResultOf(self.ended[0], CloudError).value), "no")
        self.assertEqual(self.begun, [*range(AT_ONCE + 1)])

    def test_waiting_for_room(self) -> None:
        """Whoever needs room waits for one after the other, until nothing is left."""
        first = self.frees()
        self.assertNoResult(first)
        self.gates[0].callback(None)
        self.assertIs(self.successResultOf(first), True)
        for gate in self.gates[1:]:
            gate.callback(None)
        self.assertIs(self.successResultOf(self.frees()), False)

    def test_a_removal_that_hangs(self) -> None:
        """Nobody waits for room without end."""
        waiting = self.frees()
        self.clock.advance(PATIENCE)
        self.assertIs(self.successResultOf(waiting), False)
        for gate in self.gates:
            gate.callback(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_deadline(self) -> None:
        """Whoever waits for one after the other has one deadline for all of them."""
        with self.reaper.waiting() as deadline:
            self.clock.advance(PATIENCE - 1)
            first = Deferred.fromCoroutine(self.reaper.frees(deadline))
            self.gates[0].callback(None)
            self.assertIs(self.successResultOf(first), True)
            second = Deferred.fromCoroutine(self.reaper.frees(deadline))
            self.clock.advance(1)
            self.assertIs(self.successResultOf(second), False)

    def test_those_that_hang_hold_up_no_others(self) -> None:
        """After a while others begin beside them, and all are counted until they end."""
        self.clock.advance(PATIENCE)
        self.assertEqual(self.begun, [*range(2 * AT_ONCE)])
        self.assertEqual(self.reaper.backlog, COUNT)
        more = [self.reaper.remove(partial(self.work, n)) for n in (0, 1)]
        # Room for two is theirs who hang no longer, and not for more.
        self.gates[0].callback(None)
        self.assertEqual(len(self.begun), COUNT)
        self.gates[2].callback(None)
        self.assertEqual(len(self.begun), COUNT + 2)
        for gate in (self.gates[1], self.gates[3]):
            gate.callback(None)
        for ended in (*self.ended, *more):
            self.successResultOf(ended)
        self.assertEqual((self.reaper.backlog, self.clock.getDelayedCalls()), (0, []))

    def test_many_that_hang(self) -> None:
        """There is a bound of how many are begun at all."""
        begun: list[Deferred[None]] = []

        def hang() -> Deferred[None]:
            begun.append(Deferred())
            return begun[-1]

        for _ in range(AT_MOST):
            self.reaper.remove(hang)
        for _ in range(AT_MOST):
            self.clock.advance(PATIENCE)
        self.assertEqual(len(self.begun) + len(begun), AT_MOST)
        self.assertEqual(self.reaper.backlog, AT_MOST + COUNT)

    def test_a_stop_waits_for_a_moment(self) -> None:
        """It waits for what is queued as well, and no longer than it says."""
        tasks = Deferred.fromCoroutine(self.tasks.wait(9))
        self.assertIs(self.successResultOf(tasks), True)
        drained = Deferred.fromCoroutine(self.reaper.drain(2))
        self.clock.advance(2)
        self.assertIs(self.successResultOf(drained), False)
        drained = Deferred.fromCoroutine(self.reaper.drain(2))
        for gate in self.gates:
            self.assertNoResult(drained)
            gate.callback(None)
        self.assertIs(self.successResultOf(drained), True)

    def test_a_stop_breaks_off(self) -> None:
        """What is broken off is begun no more, and whoever waits for it learns that."""
        self.tasks.cancel()
        for ended in self.ended:
            self.failureResultOf(ended, CancelledError)
        self.assertEqual(self.begun, [*range(AT_ONCE)])
        self.assertEqual(self.reaper.backlog, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
