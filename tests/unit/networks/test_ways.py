"""Ways to peers that can and cannot be had."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import provider

from runc_cpi.daemon.networks.peers import (
    NO_PEERS,
    Peer,
    Peering,
    overlap_with_peers,
    peer_hardware_address,
)
from runc_cpi.daemon.networks.ways import WaysToPeers
from runc_cpi.errors import CloudError
from tests.fakes.networks import FakeNetworker
from tests.fakes.script import Script

PEER = Peer(address=IPv4Address("192.0.2.3"), cidrs=(IPv4Network("10.9.0.0/16"),))
PEERS = Peering(peers=(PEER,))


class WaysTests(SynchronousTestCase):
    """L{WaysToPeers} over a fake."""

    def setUp(self) -> None:
        self.script = Script()
        self.networker = FakeNetworker(self.script)
        self.ways = WaysToPeers(self.networker, PEERS)
        self.said: list[str] = []

        @provider(ILogObserver)
        def hear(event: Any) -> None:
            if "problem" in event:
                self.said.append(event["problem"])

        globalLogPublisher.addObserver(hear)
        self.addCleanup(globalLogPublisher.removeObserver, hear)

    def succeed(self, work: Any) -> Any:
        """Do something that must work."""
        return self.successResultOf(Deferred.fromCoroutine(work))

    def test_ways_that_are_there(self) -> None:
        """Nothing is done twice, until somebody takes it away."""
        self.assertIs(self.succeed(self.ways.restore()), False)
        for _ in range(2):
            self.succeed(self.ways.reach(PEERS))
        self.assertEqual(self.script.done, ["reach peers"])
        self.assertIs(self.succeed(self.ways.restore()), False)
        self.networker.peering = NO_PEERS
        self.assertIs(self.succeed(self.ways.restore()), True)
        self.succeed(self.ways.reach(NO_PEERS))
        self.assertEqual(self.networker.peering, NO_PEERS)

    def test_ways_that_cannot_be(self) -> None:
        """Each problem is said once, also by a kernel that refuses, and tried again."""
        self.networker.problems = ("one", "two")
        for _ in range(2):
            self.succeed(self.ways.reach(PEERS))
        self.assertEqual(self.said, ["one", "two"])
        self.assertEqual(self.script.done, ["reach peers"] * 2)
        self.script.failing["reach peers"] = CloudError("no")
        for _ in range(2):
            self.assertIs(self.succeed(self.ways.restore()), False)
        self.assertEqual(self.said, ["one", "two", "no"])
        self.script.failing.clear()
        self.networker.problems = ()
        self.networker.peering = NO_PEERS
        self.assertIs(self.succeed(self.ways.restore()), True)

    def test_hardware_addresses(self) -> None:
        """They follow from the host's address."""
        self.assertEqual(peer_hardware_address(PEER.address), "02:76:c0:00:02:03")

    def test_overlaps(self) -> None:
        """The network of a peer is named, and whose it is."""
        found = overlap_with_peers([PEER], IPv4Network("10.9.7.0/24"))
        self.assertEqual(found, "10.9.0.0/16, a network of the peer 192.0.2.3")
        self.assertIsNone(overlap_with_peers([PEER], IPv4Network("10.8.0.0/16")))
