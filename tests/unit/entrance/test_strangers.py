"""Places for connections that have made no call: who gets one, and who must go."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import count
from types import SimpleNamespace
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.entrance.strangers import Strangers

LIMIT = 4
GRACE = 2.0
NETWORK = "fd00:0:0:7::"


def vm_at(address: Any) -> Any:
    """Return the VM that has an address: two of a network, and one with a block."""
    for own in (f"{NETWORK}2/128", f"{NETWORK}3/128", "10.9.0.16/28"):
        if address in ip_network(own):
            return SimpleNamespace(vm_cid=f"vm-{own}")
    return None


class Visitor:
    """Notes that it was ended."""

    gone = False

    def timeoutConnection(self) -> None:
        """End."""
        self.gone = True


class StrangersTests(SynchronousTestCase):
    """Four places."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ports = count(1)
        peer_log = PeerLog(self.clock.seconds)
        self.strangers: Strangers[Visitor] = Strangers(
            LIMIT, GRACE, peer_log, self.clock.seconds, vm_at
        )

    def come(self, host: str) -> Visitor | None:
        """Come from an address."""
        kind = IPv6Address if ":" in host else IPv4Address
        peer = kind("TCP", host, next(self.ports))
        if not self.strangers.admits(peer):
            return None
        visitor = Visitor()
        self.strangers.add(visitor, peer)
        self.assertLessEqual(len(self.strangers), LIMIT)
        return visitor

    def crowd(self, *hosts: str) -> list[Visitor]:
        """Have all places taken."""
        visitors = [visitor for visitor in map(self.come, hosts) if visitor is not None]
        self.assertEqual(len(visitors), LIMIT)
        return visitors

    def test_one_address_keeps_nobody_out(self) -> None:
        """An address with many strangers loses its oldest to other addresses at once."""
        crowd = self.crowd(*["192.0.2.1"] * LIMIT)
        self.assertIsNotNone(self.come("192.0.2.2"))
        self.assertEqual([visitor.gone for visitor in crowd], [True, False, False, False])
        self.assertIsNotNone(self.come("192.0.2.3"))
        self.assertEqual([visitor.gone for visitor in crowd], [True, True, False, False])

    def test_nobody_is_pushed_out_at_once(self) -> None:
        """Those with as many strangers get a place of another only after the grace time."""
        crowd = self.crowd(*["192.0.2.1"] * LIMIT)
        self.clock.advance(GRACE - 0.1)
        self.assertIsNone(self.come("192.0.2.1"))
        self.assertFalse(any(visitor.gone for visitor in crowd))
        self.clock.advance(0.1)
        self.assertIsNotNone(self.come("192.0.2.1"))
        self.assertEqual([visitor.gone for visitor in crowd], [True, False, False, False])

    def test_many_addresses(self) -> None:
        """If each address has one stranger, one more waits for the grace time."""
        crowd = self.crowd(*[f"192.0.2.{number}" for number in range(LIMIT)])
        self.assertIsNone(self.come("198.51.100.1"))
        self.clock.advance(GRACE)
        self.assertIsNotNone(self.come("198.51.100.1"))
        self.assertEqual(sum(visitor.gone for visitor in crowd), 1)

    def test_who_is_known_makes_room(self) -> None:
        """A stranger that makes a call or is gone frees its place, once."""
        crowd = self.crowd(*["192.0.2.1"] * LIMIT)
        self.strangers.discard(crowd[2])
        self.strangers.discard(crowd[2])
        self.assertIsNotNone(self.come("192.0.2.1"))
        self.assertFalse(any(visitor.gone for visitor in crowd))
        self.assertIsNone(self.come("192.0.2.1"))

    def test_what_is_remembered_goes(self) -> None:
        """An address without strangers is forgotten."""
        for number in range(100):
            visitor = self.come(f"2001:db8:{number:x}::1")
            assert visitor is not None
            self.strangers.discard(visitor)
        self.assertEqual(len(self.strangers), 0)
        self.assertEqual(self.strangers._since, {})

    def test_origins(self) -> None:
        """The origin of a peer is its address, or with IPv6 the /64 network of that."""
        origin = self.origin

        self.assertEqual(origin("2001:db8:0:1::1"), origin("2001:db8:0:1:ffff::2"))
        self.assertNotEqual(origin("2001:db8:0:1::1"), origin("2001:db8:0:2::1"))
        self.assertEqual(origin("::ffff:192.0.2.1"), origin("192.0.2.1"))
        self.assertNotEqual(origin("192.0.2.2"), origin("192.0.2.1"))
        self.assertNotEqual(origin("::1"), origin("::2"))
        origin_of = self.strangers.origin_of
        self.assertEqual(origin_of(UNIXAddress(None)), origin_of(None))

    def test_vms_are_origins(self) -> None:
        """Each VM is one, also in a network with others, and with a block of addresses."""
        origin = self.origin
        self.assertNotEqual(origin(f"{NETWORK}2"), origin(f"{NETWORK}3"))
        self.assertEqual(origin(f"{NETWORK}2"), origin(f"{NETWORK}2"))
        self.assertEqual(origin("10.9.0.16"), origin("10.9.0.31"))
        self.assertEqual(origin(f"{NETWORK}9"), origin(f"{NETWORK}8"))

    def origin(self, host: str) -> str:
        """Return the origin of who comes from an address."""
        kind = IPv6Address if ":" in host else IPv4Address
        return self.strangers.origin_of(kind("TCP", host, 1))
