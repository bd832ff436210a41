"""What a peer can cost: time, memory, calls and descriptors, each within its limit."""

from __future__ import annotations

import os
import select
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols import amp
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi import wire
from runc_cpi.daemon.config import LimitsConfig
from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.rpc.bounded import BoundedAMP
from runc_cpi.daemon.rpc.budget import DESCRIPTORS, ENTRY_COST

# For how many seconds to wait for what a thread does.
PATIENCE = 60.0
LIMITS = LimitsConfig(calls=3, message_bytes=4096, first_seconds=5, idle_seconds=60)


class Work(amp.Command):
    """Something that takes as long as the test wants it to."""

    arguments = [(b"data", amp.String())]


class Server(BoundedAMP):
    """Works on calls until it is told that they are done."""

    def __init__(self, limits: LimitsConfig, clock: Clock) -> None:
        super().__init__(limits, clock, PeerLog(clock.seconds))
        self.begun: list[Deferred[Any]] = []

    @Work.responder
    def work(self, data: bytes) -> Deferred[Any]:
        """Begin."""
        self.begun.append(Deferred())
        return self.begun[-1]


def call(data: bytes = b"x") -> bytes:
    """Return a call as bytes."""
    return wire.encode_box([(b"_ask", b"1"), (b"_command", b"Work"), (b"data", data)])


OTHER = wire.encode_box([(b"_ask", b"2"), (b"_command", b"Other")])


class BoundedTests(SynchronousTestCase):
    """One connection, with no network and a clock of its own."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.connect()

    def connect(self, **limits: Any) -> None:
        """Begin anew."""
        values = {**vars(LIMITS), **limits}
        self.server = Server(LimitsConfig(**values), self.clock)
        self.transport = StringTransport()
        self.server.makeConnection(self.transport)

    def lose(self) -> None:
        """End the connection."""
        self.server.connectionLost(Failure(ConnectionDone()))

    def receive(self, data: bytes) -> None:
        """Have the server receive bytes."""
        self.server.dataReceived(data)

    @property
    def reading(self) -> bool:
        """Whether the peer is read from."""
        return self.transport.producerState == "producing"

    @property
    def cut_off(self) -> bool:
        """Whether the connection was ended at once."""
        return bool(self.transport.disconnected)

    def test_a_peer_that_says_nothing(self) -> None:
        """A peer that sends nothing is cut off after C{first_seconds}."""
        self.clock.advance(4.9)
        self.assertFalse(self.cut_off)
        self.clock.advance(0.2)
        self.assertTrue(self.cut_off)

    def test_a_first_message_that_trickles(self) -> None:
        """A peer that sends its first message byte by byte is cut off as well."""
        for byte in call()[:-1]:
            self.receive(bytes([byte]))
            self.clock.advance(0.2)
        self.assertTrue(self.cut_off)

    def test_work_takes_its_time(self) -> None:
        """A peer is not cut off while its call is under way."""
        self.receive(call())
        self.clock.advance(10_000)
        self.assertFalse(self.cut_off)

    def test_a_peer_that_is_idle(self) -> None:
        """A peer is cut off C{idle_seconds} after its last answer."""
        self.receive(call() * 2)
        self.server.begun[0].callback({})
        self.clock.advance(100)
        self.assertFalse(self.cut_off)
        self.server.begun[1].callback({})
        self.clock.advance(59)
        self.assertFalse(self.cut_off)
        self.clock.advance(2)
        self.assertTrue(self.cut_off)

    def test_each_call_begins_the_time_again(self) -> None:
        """A connection that makes calls stays for as long as it does."""
        for _ in range(10):
            self.receive(call())
            self.server.begun[-1].callback({})
            self.clock.advance(59)
        self.assertFalse(self.cut_off)

    def test_no_timer_outlives_the_connection(self) -> None:
        """No timer is left when a connection ends, idle or with a call under way."""
        self.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.connect()
        self.receive(call())
        self.lose()
        self.server.begun[0].callback({})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_message_of_the_allowed_size(self) -> None:
        """Messages of the allowed size are answered, however many come."""
        for _ in range(5):
            self.receive(call(b"x" * 3000))
            self.server.begun[-1].callback({})
        self.assertEqual(len(self.server.begun), 5)
        self.assertFalse(self.cut_off)

    def test_a_message_that_is_too_large(self) -> None:
        """A peer is cut off before a message that is too large is complete."""
        self.receive(call(b"x" * 5000) + call())
        self.assertTrue(self.cut_off)
        self.assertEqual(self.server.begun, [])

    def test_a_message_of_many_small_parts(self) -> None:
        """Each key and value counts more than its bytes towards the size of a message."""
        part = b"\0\1k\0\0"
        allowed = LIMITS.message_bytes // ENTRY_COST // 2
        self.receive(part * (allowed - 2))
        self.assertFalse(self.cut_off)
        self.receive(part * 4)
        self.assertTrue(self.cut_off)

    def test_a_message_without_end(self) -> None:
        """No more of an endless message is kept than the limit allows."""
        for number in range(1000):
            name = b"k%d" % number
            self.receive(bytes([0, len(name)]) + name + b"\x01\0" + bytes(256))
        self.assertTrue(self.cut_off)
        box: Any = self.server._currentBox
        self.assertLess(sum(map(len, (box or {}).values())), LIMITS.message_bytes)

    def test_more_calls_than_are_allowed(self) -> None:
        """A peer with too many calls under way is not read from until one is answered."""
        for number in range(3):
            self.assertTrue(self.reading, number)
            self.receive(call())
        self.assertFalse(self.reading)
        self.server.begun[0].callback({})
        self.assertTrue(self.reading)

    def test_more_calls_than_are_allowed_at_once(self) -> None:
        """Calls that were read beyond the limit wait, and are answered in the end."""
        self.receive(call() * 50)
        self.assertEqual(len(self.server.begun), 3)
        for number in range(50):
            self.server.begun[number].callback({})
            self.clock.advance(0)
        self.assertEqual(self.transport.value().count(b"_answer"), 50)
        self.assertTrue(self.reading)

    def test_a_peer_that_does_not_read(self) -> None:
        """A peer that does not read its answers is not read from."""
        self.server.pauseProducing()
        self.assertFalse(self.reading)
        self.server.resumeProducing()
        self.assertTrue(self.reading)

    def test_a_peer_that_does_not_read_for_long(self) -> None:
        """A peer that does not read its answers is cut off after C{idle_seconds}."""
        self.receive(call())
        self.server.pauseProducing()
        self.clock.advance(59)
        self.server.pauseProducing()
        self.assertFalse(self.cut_off)
        self.clock.advance(2)
        self.assertTrue(self.cut_off)

    def test_answers_that_are_not_read(self) -> None:
        """No call begins while answers are not read."""
        self.receive(call())
        self.server.pauseProducing()
        self.receive(call() * 10)
        self.server.begun[0].callback({})
        self.assertEqual(len(self.server.begun), 1)
        self.server.resumeProducing()
        self.assertEqual(len(self.server.begun), 4)

    def test_very_many_calls_at_once(self) -> None:
        """Thousands of calls in one read are all answered, and the stack does not grow."""
        self.connect(calls=1)
        self.receive(call() + OTHER * 5000)
        self.server.begun[0].callback({})
        self.assertEqual(self.transport.value().count(b"_error_code"), 5000)
        self.assertTrue(self.reading)

    def test_what_waits_at_the_end(self) -> None:
        """Calls that wait when the connection ends are not begun."""
        self.receive(call() * 10)
        self.lose()
        for begun in self.server.begun:
            begun.callback({})
        self.assertEqual(len(self.server.begun), 3)
        self.assertEqual(len(self.flushLoggedErrors(ConnectionDone)), 7)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_no_call(self) -> None:
        """A message that is no call cuts the peer off, without a traceback."""
        for message in (
            b"\0\0",
            wire.encode_box([(b"_answer", b"1")]),
            wire.encode_box([(b"_error", b"1"), (b"_error_code", b"X")]),
            wire.encode_box([(b"_command", b"Work"), (b"data", b"x")]),
            wire.encode_box([(b"_ask", b"1")]),
            b"\xff\xff",
        ):
            self.connect()
            self.receive(message + call())
            self.assertTrue(self.cut_off, message)
            self.assertEqual(self.server.begun, [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_tls_where_there_is_none(self) -> None:
        """A peer that begins TLS where there is none is told so and cut off."""
        self.receive(b"\x16\x03\x01\x02\0\1")
        self.assertIn(b"speaks no TLS", self.transport.value())
        self.assertTrue(self.transport.disconnecting)

    def test_both_at_once(self) -> None:
        """A peer is not read from while it has too many calls or unread answers."""
        self.receive(call() + call())
        self.server.pauseProducing()
        self.receive(call())
        self.server.resumeProducing()
        self.assertFalse(self.reading)
        self.server.pauseProducing()
        self.server.begun[0].callback({})
        self.assertFalse(self.reading)
        self.server.resumeProducing()
        self.assertTrue(self.reading)

    def test_an_answer_after_the_end(self) -> None:
        """A call is brought to its end after the connection is lost."""
        self.receive(call())
        self.lose()
        self.server.begun[0].callback({})
        self.assertEqual(self.flushLoggedErrors(), [])

    def descriptors(self, count: int) -> list[int]:
        """Pass ends of pipes; return the other ends."""
        others = []
        for _ in range(count):
            other, file = os.pipe()
            self.addCleanup(os.close, other)
            self.server.fileDescriptorReceived(file)
            others.append(other)
        return others

    def assert_closed(self, others: list[int]) -> None:
        """Nobody has what was passed open any more."""
        for other in others:
            readable, _, _ = select.select([other], [], [], PATIENCE)
            self.assertTrue(readable)
            self.assertEqual(os.read(other, 1), b"")

    def test_descriptors_that_nothing_asked_for(self) -> None:
        """Descriptors that no message named are closed with the connection."""
        files = self.descriptors(DESCRIPTORS)
        self.assertFalse(self.cut_off)
        self.lose()
        self.assert_closed(files)

    def test_too_many_descriptors(self) -> None:
        """Too many descriptors cut the peer off, and all are closed."""
        files = self.descriptors(DESCRIPTORS + 1)
        self.assertTrue(self.cut_off)
        self.lose()
        self.assert_closed(files)
