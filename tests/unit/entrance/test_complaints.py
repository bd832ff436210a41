"""What the log says of peers: enough, and not more."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.entrance.complaints import MINUTE, PEERS_A_MINUTE, Complaints


class ComplaintsTests(SynchronousTestCase):
    """A log that nobody can fill."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.complaints = Complaints(self.clock.seconds)
        self.said: list[str] = []
        observer = cast(ILogObserver, self.observe)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def observe(self, event: Any) -> None:
        """Keep what is said."""
        if event.get("log_namespace", "").startswith("runc_cpi"):
            self.said.append(event["log_format"].format(**event))

    def tell(self, *peers: str, reason: str = "noise") -> list[str]:
        """Complain about peers, and return what is said of that."""
        self.said.clear()
        for peer in peers:
            self.complaints.tell(peer, "{peer}: {reason}", peer=peer, reason=reason)
        return list(self.said)

    def test_one_thing_a_minute(self) -> None:
        """Whatever the reason is, and however often."""
        self.assertEqual(self.tell("a", "a"), ["a: noise"])
        self.clock.advance(MINUTE - 1)
        self.assertEqual(self.tell("a", reason="other"), [])
        self.clock.advance(1)
        self.assertEqual(self.tell("a"), ["a: noise"])

    def test_each_for_itself(self) -> None:
        """Another peer is another matter."""
        self.assertEqual(self.tell("a", "b", "a"), ["a: noise", "b: noise"])

    def test_a_minute_is_each_peers_own(self) -> None:
        """It does not begin anew for all of them."""
        self.clock.advance(MINUTE / 2)
        self.assertEqual(len(self.tell("a")), 1)
        self.clock.advance(MINUTE / 2)
        self.assertEqual(self.tell("a", "b"), ["b: noise"])

    def test_many_peers(self) -> None:
        """All together are bounded, which is said; so is what is remembered."""
        peers = [f"peer {number}" for number in range(PEERS_A_MINUTE * 20)]
        said = self.tell(*peers)
        self.assertEqual(len(said), PEERS_A_MINUTE + 1)
        self.assertIn("more peers", said[-1])
        self.assertLessEqual(len(self.complaints._told), PEERS_A_MINUTE)
        self.clock.advance(MINUTE)
        self.assertEqual(len(self.tell(*peers)), PEERS_A_MINUTE + 1)
        self.assertLessEqual(len(self.complaints._told), PEERS_A_MINUTE)
