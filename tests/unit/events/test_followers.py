"""Who may wait for events at once."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.events.filters import ALL
from runc_cpi.daemon.events.followers import Followers
from runc_cpi.daemon.events.journal import Journal
from runc_cpi.daemon.events.ring import Ring
from runc_cpi.errors import HostShort
from tests.unit.events.examples import VALUES

LIMIT = 4


class FollowersTests(SynchronousTestCase):
    """Followers of several addresses, and of the unix socket."""

    def setUp(self) -> None:
        clock = Clock()
        self.journal = Journal(clock, TaskGroup(clock), Ring(self.mktemp_path(), 1))
        self.followers = Followers(clock, self.journal, LIMIT)

    def mktemp_path(self) -> Path:
        """Return a path for files that are not written."""
        return Path(self.mktemp())

    def wait(self, origin: str | None) -> Deferred[None]:
        """Wait for an event."""
        waiting = self.followers.wait(Deferred(), ALL, 9, origin)
        return Deferred.fromCoroutine(waiting)

    def test_one_address_leaves_room(self) -> None:
        """One address may have half of the places, until its followers are gone."""
        first = [self.wait("10.0.0.1") for _ in range(LIMIT // 2)]
        refused = self.failureResultOf(self.wait("10.0.0.1"), HostShort)
        self.assertIn("2 of 10.0.0.1 follow the events", refused.getErrorMessage())
        others = [self.wait("10.0.0.2"), self.wait(None)]
        refused = self.failureResultOf(self.wait(None), HostShort)
        self.assertIn("4 follow the events", refused.getErrorMessage())
        self.journal.add(**VALUES)
        for each in (*first, *others):
            self.successResultOf(each)
        self.assertNoResult(self.wait("10.0.0.1"))

    def test_the_unix_socket(self) -> None:
        """Who may use the socket file may have all places."""
        for _ in range(LIMIT):
            self.assertNoResult(self.wait(None))
