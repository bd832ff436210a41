"""A value that is made once for all who ask within some seconds."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.status.remembered import Remembered


class RememberedTests(SynchronousTestCase):
    """A value that is made when a test says so."""

    def setUp(self) -> None:
        self.clock, self.makings = Clock(), list[Deferred[str]]()
        self.remembered = Remembered(self.clock, 10, self.make)

    def make(self) -> Deferred[str]:
        """Begin to make it."""
        self.makings.append(Deferred())
        return self.makings[-1]

    def ask(self) -> Deferred[str]:
        """Ask for it."""
        return Deferred.fromCoroutine(self.remembered.get())

    def test_together(self) -> None:
        """Those who ask while it is made wait for the same."""
        asked = [self.ask(), self.ask()]
        self.makings[0].callback("a")
        self.assertEqual([self.successResultOf(each) for each in asked], ["a", "a"])
        self.assertEqual(len(self.makings), 1)

    def test_age(self) -> None:
        """It is made again when it is too old."""
        self.ask()
        self.makings[0].callback("a")
        self.clock.advance(9)
        self.assertEqual(self.successResultOf(self.ask()), "a")
        self.clock.advance(1)
        asked = self.ask()
        self.assertNoResult(asked)
        self.makings[1].callback("b")
        self.assertEqual(self.successResultOf(asked), "b")

    def test_failure(self) -> None:
        """A failure is not kept."""
        asked = self.ask()
        self.makings[0].errback(OSError("no"))
        self.failureResultOf(asked, OSError)
        asked = self.ask()
        self.makings[1].callback("a")
        self.assertEqual(self.successResultOf(asked), "a")

    def test_who_does_not_wait(self) -> None:
        """Who goes away while it is made takes it from nobody else."""
        first, second = self.ask(), self.ask()
        first.addErrback(lambda _: None)
        first.cancel()
        self.makings[1].callback("b")
        self.assertEqual(self.successResultOf(second), "b")
