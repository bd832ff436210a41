"""The checks that a daemon makes by itself: when, and what it says of them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, eventAsText
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.daemon.doctor import rounds
from runc_cpi.daemon.doctor.finding import Finding, Patient, fine, warning
from runc_cpi.daemon.doctor.rounds import INTERVAL, PAUSE, Rounds


class RoundsTests(TestCase):
    """A host with something amiss, which changes."""

    def setUp(self) -> None:
        self.clock, self.seen = Clock(), "is low"
        self.made: list[str] = []
        self.told = 0
        # Without a reactor there are no threads.
        self.patch(rounds, "deferToThread", lambda work, *args: succeed(work(*args)))
        config = DaemonConfig.parse(None)
        self.rounds = Rounds(self.clock, config, [self.quick], [self.thorough])
        stack = ExitStack()
        self.addCleanup(stack.close)
        self.events = stack.enter_context(capturedLogs())

    def quick(self, patient: Patient) -> Iterable[Finding]:
        """Find something, and that all else is well."""
        self.assertTrue(patient.is_served)
        self.made.append("quick")
        return [warning("fuel", self.seen, "fill it up"), fine("tyres", "are round")]

    def thorough(self, _: Patient) -> Iterable[Finding]:
        """Find something as well."""
        self.made.append("thorough")
        return [warning("brakes", self.seen, "have them mended")]

    def said(self) -> list[str]:
        """Return what was logged since somebody asked."""
        new, self.told = self.events[self.told :], len(self.events)
        return [
            eventAsText(
                event, includeTraceback=False, includeTimestamp=False, includeSystem=False
            )
            for event in new
        ]

    async def test_quick_checks_come_first(self) -> None:
        """A start waits for those that are quick, and warns of what is amiss."""
        await self.rounds.begin()
        self.assertEqual(self.made, ["quick"])
        self.assertEqual(self.said(), ["fuel: is low; fill it up"])

    def test_the_others_come_again_and_again(self) -> None:
        """Nobody waits for the others; each warns when it finds something new."""
        going = Deferred.fromCoroutine(self.rounds.go_on())
        self.assertEqual(self.made, [])
        self.clock.advance(PAUSE)
        self.assertEqual(self.said(), ["brakes: is low; have them mended"])
        self.clock.advance(INTERVAL)
        self.assertEqual(self.said(), [])
        self.seen = "is worn"
        self.clock.advance(INTERVAL)
        self.assertEqual(self.said(), ["brakes: is worn; have them mended"])
        self.assertEqual(self.made, ["thorough"] * 3)
        going.addErrback(lambda _: None).cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_told(self) -> None:
        """Who asks is told what was found last, and what the quick checks find now."""
        self.assertEqual([each.check for each in self.rounds.findings()], ["fuel", "tyres"])
        going = Deferred.fromCoroutine(self.rounds.go_on())
        self.clock.advance(PAUSE)
        going.addErrback(lambda _: None).cancel()
        checks = [each.check for each in self.rounds.findings()]
        self.assertEqual(checks, ["brakes", "fuel", "tyres"])
