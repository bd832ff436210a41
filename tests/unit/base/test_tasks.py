"""Background work: it is awaited at a stop, or broken off, and its failures are logged."""

from __future__ import annotations

from contextlib import ExitStack

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, eventAsText
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.base.tasks import TaskGroup


async def until(deferred: Deferred[None]) -> None:
    """Work that ends when a Deferred fires."""
    await deferred


class TaskGroupTests(SynchronousTestCase):
    """A group of background work, over a clock of the test's own."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.tasks = TaskGroup(self.clock)
        stack = ExitStack()
        self.addCleanup(stack.close)
        self.events = stack.enter_context(capturedLogs())

    def messages(self, level: LogLevel) -> list[str]:
        """Return the lines that were logged at a level, without tracebacks."""
        return [
            eventAsText(
                event, includeTraceback=False, includeTimestamp=False, includeSystem=False
            )
            for event in self.events
            if event["log_level"] is level
        ]

    def waiting(self, seconds: float = 10) -> Deferred[bool]:
        """Wait for the group."""
        return Deferred.fromCoroutine(self.tasks.wait(seconds))

    def test_work_starts_at_once(self) -> None:
        """Work runs as soon as it is started, and its end is told."""
        gate = Deferred[None]()
        ended = self.tasks.start("a", until(gate))
        self.assertNoResult(ended)
        gate.callback(None)
        self.assertIsNone(self.successResultOf(ended))

    def test_a_failure_is_logged_with_the_name(self) -> None:
        """Work that fails is logged under its name; whoever waits for it sees no error."""
        ended = self.tasks.start("counting sheep", until(failed(ValueError("x"))))
        self.assertIsNone(self.successResultOf(ended))
        self.assertEqual(self.messages(LogLevel.critical), ["bug: counting sheep failed"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_nothing_to_wait_for(self) -> None:
        """A group without work is waited for in no time."""
        self.assertTrue(self.successResultOf(self.waiting()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_all_work_is_waited_for(self) -> None:
        """A wait ends with the last work, including what was started meanwhile."""
        gates = [Deferred[None]() for _ in range(3)]
        self.tasks.start("a", until(gates[0]))
        self.tasks.start("b", until(gates[1]))
        waiting = self.waiting()
        self.tasks.start("c", until(gates[2]))
        for gate in gates:
            self.assertNoResult(waiting)
            gate.callback(None)
        self.assertTrue(self.successResultOf(waiting))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_wait_is_bounded(self) -> None:
        """A wait ends when its time is up, and work goes on."""
        gate = Deferred[None]()
        ended = self.tasks.start("a", until(gate))
        waiting = self.waiting(10)
        self.clock.advance(10)
        self.assertFalse(self.successResultOf(waiting))
        gate.callback(None)
        self.successResultOf(ended)
        self.assertTrue(self.successResultOf(self.waiting()))

    def test_unawaited_work_holds_up_nobody(self) -> None:
        """Work that is not awaited is not waited for."""
        self.tasks.start("a", until(Deferred()), awaited=False)
        self.assertTrue(self.successResultOf(self.waiting()))

    def test_what_is_broken_off_is_logged(self) -> None:
        """Cancelled work gets a chance to clean up; only awaited work is named."""
        cleaned = []

        async def work() -> None:
            try:
                await Deferred[None]()
            finally:
                cleaned.append(True)

        ended = [
            self.tasks.start("a", work()),
            self.tasks.start("b", work(), awaited=False),
        ]
        self.tasks.cancel()
        for each in ended:
            self.successResultOf(each)
        self.assertEqual(cleaned, [True, True])
        self.assertEqual(self.messages(LogLevel.warn), ["broken off: a"])
        self.assertEqual(self.messages(LogLevel.critical), [])

    def test_cleaning_up_is_waited_for(self) -> None:
        """Work that needs time after it was cancelled can be waited for again."""
        gate = Deferred[None]()

        async def work() -> None:
            try:
                await Deferred[None]()
            finally:
                await gate

        self.tasks.start("a", work())
        self.tasks.cancel()
        waiting = self.waiting()
        self.assertNoResult(waiting)
        gate.callback(None)
        self.assertTrue(self.successResultOf(waiting))

    def test_work_that_waits_for_other_work(self) -> None:
        """Work is cancelled once, also if other work of the group waits for it."""
        gate, cleaned = Deferred[None](), []

        async def inner() -> None:
            try:
                await Deferred[None]()
            finally:
                await gate
                cleaned.append(True)

        async def outer(begun: Deferred[None]) -> None:
            await begun
            await self.tasks.start("late", inner())

        async def eager_outer() -> None:
            await self.tasks.start("early", inner())

        begun = Deferred[None]()
        self.tasks.start("outer", outer(begun), awaited=False)
        self.tasks.start("eager outer", eager_outer(), awaited=False)
        begun.callback(None)
        self.tasks.cancel()
        gate.callback(None)
        self.assertEqual(cleaned, [True, True])
        self.assertEqual(
            self.messages(LogLevel.warn), ["broken off: early", "broken off: late"]
        )
        self.assertEqual(self.messages(LogLevel.critical), [])

    def test_a_cancelled_wait_for_work(self) -> None:
        """Work goes on if whoever waits for it does not wait any more."""
        gate, done = Deferred[None](), []

        async def work() -> None:
            await gate
            done.append(True)

        ended = self.tasks.start("a", work())
        ended.cancel()
        self.failureResultOf(ended, CancelledError)
        gate.callback(None)
        self.assertEqual(done, [True])

    def test_a_cancellation_of_its_own(self) -> None:
        """Work that ends with a CancelledError and was not cancelled has a bug."""
        self.tasks.start("a", until(failed(CancelledError())))
        self.assertEqual(self.messages(LogLevel.critical), ["bug: a failed"])
        self.flushLoggedErrors(CancelledError)


def failed(error: Exception) -> Deferred[None]:
    """Return a Deferred that has failed."""
    deferred: Deferred[None] = Deferred()
    deferred.errback(error)
    return deferred
