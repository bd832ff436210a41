"""What runs side by side."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.base.concurrency import side_by_side


class SideBySideTests(SynchronousTestCase):
    """Several things at once, and all of them to their end."""

    def test_all_are_begun_at_once(self) -> None:
        """All things are begun at once, and the whole is done when the last is."""
        works = [Deferred[None](), Deferred[None]()]
        done = Deferred.fromCoroutine(side_by_side(*works))
        works[1].callback(None)
        self.assertNoResult(done)
        works[0].callback(None)
        self.successResultOf(done)

    def test_a_failure_does_not_stop_the_others(self) -> None:
        """When all have ended, the first error in the order given is raised."""
        works = [Deferred[None]() for _ in range(3)]
        done = Deferred.fromCoroutine(side_by_side(*works))
        works[2].errback(KeyError("later"))
        works[1].errback(ValueError("first"))
        self.assertNoResult(done)
        works[0].callback(None)
        failure = self.failureResultOf(done, ValueError)
        self.assertEqual(str(failure.value), "first")
