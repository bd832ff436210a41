"""What the log says of peers: enough, and not more."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.entrance.peer_log import MINUTE, PEERS_A_MINUTE, PeerLog


class PeerLogTests(SynchronousTestCase):
    """A log that no flood of peers can fill."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.peer_log = PeerLog(self.clock.seconds)
        self.said: list[str] = []
        observer = cast(ILogObserver, self.observe)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def observe(self, event: Any) -> None:
        """Keep each message."""
        if event.get("log_namespace", "").startswith("runc_cpi"):
            self.said.append(event["log_format"].format(**event))

    def tell(self, *peers: str, reason: str = "noise") -> list[str]:
        """Warn of peers, and return what is logged."""
        self.said.clear()
        for peer in peers:
            self.peer_log.warn(peer, "{peer}: {reason}", peer=peer, reason=reason)
        return list(self.said)

    def test_one_thing_a_minute(self) -> None:
        """One peer is logged once a minute, whatever the reasons."""
        self.assertEqual(self.tell("a", "a"), ["a: noise"])
        self.clock.advance(MINUTE - 1)
        self.assertEqual(self.tell("a", reason="other"), [])
        self.clock.advance(1)
        self.assertEqual(self.tell("a"), ["a: noise"])

    def test_each_for_itself(self) -> None:
        """Each peer has a line of its own."""
        self.assertEqual(self.tell("a", "b", "a"), ["a: noise", "b: noise"])

    def test_a_minute_is_each_peers_own(self) -> None:
        """A peer's minute begins with its own line, not with that of another."""
        self.clock.advance(MINUTE / 2)
        self.assertEqual(len(self.tell("a")), 1)
        self.clock.advance(MINUTE / 2)
        self.assertEqual(self.tell("a", "b"), ["b: noise"])

    def test_many_peers(self) -> None:
        """The number of lines a minute is bounded, and so is what is remembered."""
        peers = [f"peer {number}" for number in range(PEERS_A_MINUTE * 20)]
        said = self.tell(*peers)
        self.assertEqual(len(said), PEERS_A_MINUTE + 1)
        self.assertIn("more peers", said[-1])
        self.assertLessEqual(len(self.peer_log._told), PEERS_A_MINUTE)
        self.clock.advance(MINUTE)
        self.assertEqual(len(self.tell(*peers)), PEERS_A_MINUTE + 1)
        self.assertLessEqual(len(self.peer_log._told), PEERS_A_MINUTE)
