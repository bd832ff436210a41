"""Where connections wait for TLS: who is handed on, when, and who is not."""

from __future__ import annotations

from itertools import count
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.config import LimitsConfig
from runc_cpi.daemon.entrance.handshakes import QUEUE_OF_ONE_ORIGIN, HandshakeQueue
from runc_cpi.daemon.entrance.peer_log import PeerLog

HELLO = b"\x16\x03\x01"
FIRST_SECONDS = 5.0


class Inner(Protocol):
    """Notes what it is given."""

    def __init__(self, received: list[tuple[str, bytes]]) -> None:
        self._received = received

    def dataReceived(self, data: bytes) -> None:
        """Note it, and from whom it is."""
        transport: Any = self.transport
        self._received.append((transport.getPeer().host, data))


class InnerFactory(Factory):
    """Makes those, as long as it does."""

    def __init__(self) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.is_full = False

    def buildProtocol(self, addr: Any) -> Inner | None:
        """Make one."""
        return None if self.is_full else Inner(self.received)


class HandshakeQueueTests(SynchronousTestCase):
    """Connections without a network."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ports = count(1)
        self.enter()

    def enter(self, strangers: int = 1000) -> None:
        """Begin anew."""
        self.inner = InnerFactory()
        self.queue = HandshakeQueue(
            self.inner,
            LimitsConfig(strangers=strangers, first_seconds=FIRST_SECONDS),
            PeerLog(self.clock.seconds),
            self.clock,
            lambda address: None,
        )

    def come(self, host: str = "192.0.2.1", words: bytes = HELLO) -> Any:
        """Connect, and say something; return the transport, if there is a place."""
        peer = IPv4Address("TCP", host, next(self.ports))
        newcomer = self.queue.buildProtocol(peer)
        if newcomer is None:
            return None
        transport: Any = StringTransport(peerAddress=peer)
        transport.protocol = newcomer
        newcomer.makeConnection(transport)
        if words:
            newcomer.dataReceived(words)
        return transport

    def served(self) -> list[str]:
        """Name those who were handed on."""
        return [host for host, _ in self.inner.received]

    def test_tls_is_handed_on(self) -> None:
        """A connection that begins TLS is handed on with all that it has sent."""
        transport = self.come(words=HELLO + b"x")
        self.assertEqual(transport.producerState, "paused")
        self.clock.advance(0)
        self.assertEqual(self.inner.received, [("192.0.2.1", HELLO + b"x")])
        self.assertEqual(transport.producerState, "producing")
        transport.protocol.dataReceived(b"y")
        self.assertEqual(self.inner.received[1:], [("192.0.2.1", b"y")])
        self.clock.advance(FIRST_SECONDS)
        self.assertFalse(transport.disconnected)

    def test_what_is_no_tls(self) -> None:
        """A connection that does not begin with TLS gets an answer and is closed."""
        transport = self.come(words=b"\0\4_ask")
        self.assertIn(b"is tls missing", transport.value())
        self.assertTrue(transport.disconnecting)
        self.clock.advance(FIRST_SECONDS)
        self.assertEqual(self.served(), [])

    def test_silence(self) -> None:
        """A connection that sends nothing is closed after C{first_seconds}."""
        transport = self.come(words=b"")
        self.clock.advance(FIRST_SECONDS - 0.1)
        self.assertFalse(transport.disconnected)
        self.clock.advance(0.1)
        self.assertTrue(transport.disconnected)

    def test_turns(self) -> None:
        """A flood from one address does not delay a connection from another."""
        for _ in range(QUEUE_OF_ONE_ORIGIN // 2):
            self.come("192.0.2.1")
        self.come("192.0.2.2")
        self.clock.advance(0)
        self.assertEqual(len(self.served()), QUEUE_OF_ONE_ORIGIN // 2 + 1)
        self.assertEqual(self.served()[:2], ["192.0.2.1", "192.0.2.2"])

    def test_the_queue_of_one_address_is_bounded(self) -> None:
        """An address whose queue is full gets no more places; others do."""
        for _ in range(QUEUE_OF_ONE_ORIGIN - 1):
            self.come("192.0.2.1")
        late = self.come("192.0.2.1", b"")
        self.come("192.0.2.1")
        self.assertIsNone(self.come("192.0.2.1"))
        late.protocol.dataReceived(HELLO)
        self.assertTrue(late.disconnected)
        self.come("192.0.2.2")
        self.clock.advance(0)
        self.assertIn("192.0.2.2", self.served())

    def test_all_queues_together_are_bounded(self) -> None:
        """If all places are taken, the longest queue gives one to a shorter."""
        self.enter(strangers=4)
        crowd = [self.come("192.0.2.1") for _ in range(4)]
        other = self.come("192.0.2.2")
        self.assertEqual([it.disconnected for it in crowd], [False, False, False, True])
        self.assertFalse(other.disconnected)
        self.assertTrue(self.come("192.0.2.1").disconnected)

    def test_who_has_gone_meanwhile(self) -> None:
        """A connection that ended while it waited is dropped, and its place is free."""
        transport = self.come()
        transport.protocol.connectionLost()
        self.clock.advance(0)
        self.assertEqual(self.served(), [])
        self.assertEqual(len(self.queue.waiting), 0)

    def test_no_room_inside(self) -> None:
        """A connection is cut off if the inner factory makes no protocol for it."""
        transport = self.come()
        self.inner.is_full = True
        self.clock.advance(0)
        self.assertTrue(transport.disconnected)
        self.assertEqual(self.served(), [])
