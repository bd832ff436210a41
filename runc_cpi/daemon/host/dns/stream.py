"""Queries that come by TCP: answered one after the other on each connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import Int16StringReceiver
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure

from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.host.dns.places import Places
from runc_cpi.daemon.host.dns.queries import LONGEST_QUERY

# For the next query, and for an answer to be read (RFC 7766 asks for some seconds).
IDLE_SECONDS = 10.0

# By a message, and the address of whom it is from.
Answering = Callable[[bytes, str], Awaitable[bytes | None]]


class Streams(Factory):
    """
    The TCP connections at one gateway.

    @param answering: answers a message of a client, or returns L{None} for no answer.
    @param places: of all connections at all gateways.
    @param client_of: names who has an address.
    """

    noisy = False

    def __init__(
        self,
        reactor: Any,
        answering: Answering,
        places: Places,
        tasks: TaskGroup,
        client_of: Callable[[str], str] = str,
    ) -> None:
        self.reactor, self.answering = reactor, answering
        self.places, self.tasks, self._client_of = places, tasks, client_of
        self.open: set[Stream] = set()

    def buildProtocol(self, addr: Any) -> Stream | None:
        """Take a connection, if its client may have one more; another may be ended."""
        client = self._client_of(addr.host)
        stream = Stream(self, addr.host, client)
        has_place = self.places.take(client, stream.timeoutConnection)
        return stream if has_place else None

    def close(self) -> None:
        """End all connections."""
        for stream in list(self.open):
            stream.timeoutConnection()


class Stream(Int16StringReceiver, TimeoutMixin):
    """
    One connection.

    The next query is read once the answer to the last one is with the client, so no more
    than one of them is in memory.

    @param address: that of the client.
    @param client: its name, for L{Streams.places}.
    """

    transport: Any
    MAX_LENGTH = LONGEST_QUERY

    def __init__(self, streams: Streams, address: str, client: str) -> None:
        self._streams, self._address, self._client = streams, address, client

    def callLater(self, period: float, func: Callable[[], None]) -> Any:
        """Have the time-out use the reactor of the others."""
        return self._streams.reactor.callLater(period, func)

    def connectionMade(self) -> None:
        """Wait for a query, for a while."""
        self._streams.open.add(self)
        self.setTimeout(IDLE_SECONDS)

    def stringReceived(self, string: bytes) -> None:
        """Answer a query, and read no other meanwhile."""
        self.pauseProducing()
        self.setTimeout(None)
        answering = self._reply(string)
        self._streams.tasks.start("answering a DNS query", answering, awaited=False)

    async def _reply(self, message: bytes) -> None:
        answer = await self._streams.answering(message, self._address)
        if self not in self._streams.open:
            return
        if answer is None:
            self.timeoutConnection()
            return
        self.setTimeout(IDLE_SECONDS)
        self.transport.registerProducer(_Answer(self, answer), False)

    def timeoutConnection(self) -> None:
        """End it."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Give its place to another."""
        self.setTimeout(None)
        self._streams.open.discard(self)
        self._streams.places.free(self._client, self.timeoutConnection)


class _Answer:
    """Is asked for bytes until the client has taken all (C{IPullProducer})."""

    def __init__(self, stream: Stream, answer: bytes) -> None:
        self._stream, self._answer = stream, answer
        self._is_sent = False

    def resumeProducing(self) -> None:
        """Send the answer, and have the next query read when it is gone."""
        if not self._is_sent:
            self._is_sent = True
            self._stream.sendString(self._answer)
        else:
            self._stream.transport.unregisterProducer()
            self._stream.resumeProducing()

    def stopProducing(self) -> None:
        """Do nothing: the connection is lost."""
