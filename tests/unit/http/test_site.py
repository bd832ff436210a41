"""HTTP for those who only look: what is refused, and what time and room a client has."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Request

from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.http.answers import ANSWER_SECONDS, Answer, Root, Unavailable
from runc_cpi.daemon.http.health import Health, Readiness
from runc_cpi.daemon.http.site import (
    CLOSE_SECONDS,
    CONNECTIONS,
    HEADER_BYTES,
    HEADERS,
    REQUEST_SECONDS,
    ReadOnlySite,
)


class Slow(Answer):
    """Answers when it is told to."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.given_up: list[Any] = []
        self.answer: Deferred[bytes] = Deferred(self.given_up.append)

    async def content(self, request: Request) -> bytes:
        """Wait for it."""
        return await self.answer


class Transport(StringTransport):
    """A connection that is closed when all is sent, or cut off."""

    is_cut = False

    def abortConnection(self) -> None:
        """Note that it is cut off."""
        self.is_cut = True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """It makes no difference."""


class SiteTests(SynchronousTestCase):
    """A site with three paths, and a clock that stands still."""

    def setUp(self) -> None:
        self.clock: Any = Clock()
        root = Root()
        self.slow, self.ready = Slow(self.clock), Readiness(self.clock)
        root.putChild(b"healthz", Health(self.clock))
        root.putChild(b"readyz", self.ready)
        root.putChild(b"slow", self.slow)
        peer_log = PeerLog(self.clock.seconds)
        self.site = ReadOnlySite(root, peer_log, self.clock, lambda address: None)

    def connect(self, host: str = "192.0.2.1", own: str = "192.0.2.9") -> Any:
        """
        Connect, and return the protocol of the connection.

        @param own: the address that is connected to.
        """
        peer, here = IPv4Address("TCP", host, 40000), IPv4Address("TCP", own, 9998)
        channel = self.site.buildProtocol(peer)
        if channel is not None:
            channel.makeConnection(Transport(hostAddress=here, peerAddress=peer))
        return channel

    def ask(self, *lines: bytes, body: bytes = b"") -> tuple[Any, bytes]:
        """Send a request by a new connection; return its protocol, and what comes."""
        channel = self.connect()
        channel.dataReceived(b"\r\n".join([*lines, b"", b""]) + body)
        return channel, channel.transport.value()

    def get(self, path: bytes) -> bytes:
        """Ask for a path, and return the answer."""
        return self.ask(b"GET " + path + b" HTTP/1.1", b"Host: x")[1]

    def test_health(self) -> None:
        """The daemon lives; its answer is for nobody to keep or to embed."""
        answer = self.get(b"/healthz")
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
        self.assertTrue(answer.endswith(b"\r\n\r\nok\n"))
        for header in (
            b"Content-Type: text/plain; charset=utf-8",
            b"Cache-Control: no-store",
            b"X-Content-Type-Options: nosniff",
        ):
            self.assertIn(header.lower(), answer.lower())

    def test_readiness(self) -> None:
        """The daemon is not ready before it says so."""
        self.assertTrue(self.get(b"/readyz").startswith(b"HTTP/1.1 503 "))
        self.assertTrue(self.get(b"/readyz").endswith(b"\r\n\r\nstarting\n"))
        self.ready.is_ready = True
        self.assertTrue(self.get(b"/readyz").startswith(b"HTTP/1.1 200 "))

    def test_other_paths(self) -> None:
        """Whatever nobody has put there is not there, below what is there as well."""
        for path in (b"/", b"/x", b"/healthz/", b"/healthz/x", b"/../healthz", b"//"):
            self.assertTrue(self.get(path).startswith(b"HTTP/1.1 404 "), path)

    def test_head(self) -> None:
        """HEAD is answered as GET, less what is to be seen."""
        _, answer = self.ask(b"HEAD /healthz HTTP/1.1", b"Host: x")
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
        self.assertIn(b"content-length: 3\r\n", answer.lower())
        self.assertTrue(answer.endswith(b"\r\n\r\n"))

    def test_other_methods(self) -> None:
        """Nothing can be changed."""
        for method in (b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"BREW"):
            _, answer = self.ask(method + b" /healthz HTTP/1.1", b"Host: x")
            self.assertTrue(answer.startswith(b"HTTP/1.1 405 "), answer)
            self.assertIn(b"allow: get, head\r\n", answer.lower())

    def test_other_sites(self) -> None:
        """By a loopback address, only names that no other site can have lead here."""
        for own, name, status in (
            ("127.0.0.1", b"localhost:9998", 200),
            ("127.0.0.1", b"127.0.0.1:9998", 200),
            ("::1", b"[::1]:9998", 200),
            ("127.0.1.1", b"box", 200),
            ("127.0.0.1", b"cpi.localhost", 200),
            ("127.0.0.1", b"evil.example.com:9998", 403),
            ("::ffff:127.0.0.1", b"evil.example.com", 403),
            ("127.0.0.1", b"127.0.0.1.example.com", 403),
            ("192.0.2.1", b"box.example.com:9998", 200),
        ):
            channel = self.connect(own=own)
            channel.dataReceived(b"GET /healthz HTTP/1.1\r\nHost: " + name + b"\r\n\r\n")
            answer = channel.transport.value()
            self.assertTrue(answer.startswith(b"HTTP/1.1 %d " % status), (name, answer))

    def test_bodies(self) -> None:
        """A request with a body is refused before that has come, and once."""
        for header, body in (
            (b"Content-Length: 5", b"hello"),
            (b"Content-Length: 99999999999", b""),
            (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        ):
            for method in (b"GET", b"POST"):
                channel, answer = self.ask(
                    method + b" /healthz HTTP/1.1", b"Host: x", header, body=body
                )
                self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer)
                self.assertEqual(answer.count(b"HTTP/1.1"), 1, answer)
                self.assertTrue(channel.transport.disconnecting)

    def test_large_requests(self) -> None:
        """Requests with too many or too long headers are refused."""
        many = [b"X-%d: x" % number for number in range(HEADERS + 1)]
        for headers in (many, [b"X: " + b"x" * HEADER_BYTES]):
            channel, answer = self.ask(b"GET /healthz HTTP/1.1", *headers)
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
            self.assertTrue(channel.transport.disconnecting)

    def test_no_http(self) -> None:
        """What is no HTTP is refused."""
        for line in (b"hello", b"\x16\x03\x01", b"GET /healthz HTTP/1.1 x", b"\0"):
            channel, answer = self.ask(line)
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), (line, answer))
            self.assertTrue(channel.transport.disconnecting)

    def test_several_requests(self) -> None:
        """A connection stays open for further requests."""
        channel, _ = self.ask(b"GET /healthz HTTP/1.1", b"Host: x")
        self.clock.advance(REQUEST_SECONDS - 1)
        channel.dataReceived(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b"HTTP/1.1 503 ", channel.transport.value())
        self.assertFalse(channel.transport.disconnecting)

    def test_a_client_that_says_nothing(self) -> None:
        """A connection without a request is closed."""
        channel = self.connect()
        self.clock.advance(REQUEST_SECONDS)
        self.assertTrue(channel.transport.disconnecting)

    def test_a_client_that_speaks_slowly(self) -> None:
        """A request must be whole in time, however often something comes."""
        channel = self.connect()
        for _ in range(int(REQUEST_SECONDS)):
            self.assertFalse(channel.transport.disconnecting)
            channel.dataReceived(b"G")
            self.clock.advance(1)
        self.assertTrue(channel.transport.disconnecting)

    def test_a_client_that_does_not_read(self) -> None:
        """A connection that is to be closed and is not is cut off."""
        channel, _ = self.ask(b"GET /healthz HTTP/1.1", b"Connection: close")
        self.assertTrue(channel.transport.disconnecting)
        self.clock.advance(CLOSE_SECONDS - 1)
        self.assertFalse(channel.transport.is_cut)
        self.clock.advance(1)
        self.assertTrue(channel.transport.is_cut)

    def test_a_client_that_hangs_up(self) -> None:
        """The work for a client that is gone is given up, without a word in the log."""
        channel, _ = self.ask(b"GET /slow HTTP/1.1", b"Host: x")
        channel.connectionLost()
        self.assertEqual(len(self.slow.given_up), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_answer_that_takes_long(self) -> None:
        """The client is told so in the end."""
        channel, answer = self.ask(b"GET /slow HTTP/1.1", b"Host: x")
        self.assertEqual(answer, b"")
        self.clock.advance(ANSWER_SECONDS)
        answer = channel.transport.value()
        self.assertTrue(answer.startswith(b"HTTP/1.1 503 "), answer)
        self.assertTrue(answer.endswith(b"\r\n\r\nit takes too long\n"))

    def test_nothing_to_answer(self) -> None:
        """The client is told why."""
        channel, _ = self.ask(b"GET /slow HTTP/1.1", b"Host: x")
        self.slow.answer.errback(Unavailable("not yet"))
        self.assertTrue(channel.transport.value().endswith(b"\r\n\r\nnot yet\n"))

    def test_bugs(self) -> None:
        """A bug is logged; who looks is told no more than that."""
        channel, _ = self.ask(b"GET /slow HTTP/1.1", b"Host: x")
        self.slow.answer.errback(ValueError("secret"))
        answer = channel.transport.value()
        self.assertTrue(answer.startswith(b"HTTP/1.1 500 "), answer)
        self.assertNotIn(b"secret", answer)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_many_clients(self) -> None:
        """Only so many connections are open; an origin with few of them gets a place."""
        channels = [self.connect() for _ in range(CONNECTIONS)]
        self.assertIsNone(self.connect())
        self.assertIsNotNone(self.connect("192.0.2.2"))
        self.assertTrue(channels[0].transport.disconnecting)
        self.assertFalse(channels[1].transport.disconnecting)

    def test_the_end(self) -> None:
        """All connections are cut off at the end, and leave nothing behind."""
        channels = [self.connect(), self.ask(b"GET /slow HTTP/1.1", b"Host: x")[0]]
        self.site.end()
        for channel in channels:
            self.assertTrue(channel.transport.is_cut)
            channel.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])
