"""The reaper: bounded work after the answer, which a stop waits for or breaks off."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.logger import capturedLogs as captured_logs
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.storage.reaper import AT_ONCE, PATIENCE, Reaper
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
        return Deferred.fromCoroutine(self.reaper.frees())

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
        self.gates[0].callback(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_stop_waits(self) -> None:
        """A stop waits for what is queued, too."""
        stopped = Deferred.fromCoroutine(self.tasks.wait(10))
        for gate in self.gates[:-1]:
            gate.callback(None)
        self.assertNoResult(stopped)
        self.gates[-1].callback(None)
        self.assertIs(self.successResultOf(stopped), True)

    def test_a_stop_breaks_off(self) -> None:
        """What is broken off is begun no more, and whoever waits for it learns that."""
        with captured_logs() as events:
            self.tasks.cancel()
        for ended in self.ended:
            self.failureResultOf(ended, CancelledError)
        self.assertEqual(self.begun, [*range(AT_ONCE)])
        self.assertEqual(self.reaper.backlog, 0)
        self.assertEqual({event["log_level"] for event in events}, {LogLevel.warn})
