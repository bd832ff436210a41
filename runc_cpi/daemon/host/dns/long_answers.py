"""Answers that are too long for a datagram: fetched by TCP."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure

from runc_cpi.daemon.host.dns import messages
from runc_cpi.daemon.host.dns.queries import Query

PATIENCE_TO_CONNECT, PATIENCE = 2.0, 4.0  # seconds


class NoLongAnswer(Exception):
    """The server does not answer by TCP."""


async def fetch(reactor: Any, server: str, query: Query) -> bytes:
    """
    Ask a server by TCP.

    @raise NoLongAnswer: if it does not answer.
    @raise OSError: if there is no way to it.
    """
    conversation = _Stream(messages.randomly_numbered(query.message), query.question)
    is_ipv4 = ip_address(server).version == 4
    kind = TCP4ClientEndpoint if is_ipv4 else TCP6ClientEndpoint
    endpoint = kind(reactor, server, messages.PORT, timeout=PATIENCE_TO_CONNECT)
    try:
        await endpoint.connect(_Once(conversation))
        return await conversation.answer.addTimeout(PATIENCE, reactor)
    except (ConnectError, ConnectingCancelledError, TimeoutError):
        raise NoLongAnswer from None
    finally:
        conversation.end()


class _Once(Factory):
    """Makes one connection, and logs nothing of it."""

    noisy = False

    def __init__(self, conversation: _Stream) -> None:
        self._conversation = conversation

    def buildProtocol(self, addr: Any) -> _Stream:
        """Return the conversation."""
        return self._conversation


class _Stream(Int16StringReceiver):
    """
    One question by TCP.

    @ivar answer: the answer, when there is one.
    """

    transport: Any

    def __init__(self, sent: bytes, question: bytes) -> None:
        self._sent, self._question = sent, question
        self.answer: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        """Ask."""
        self.sendString(self._sent)

    def stringReceived(self, string: bytes) -> None:
        """Take the answer."""
        if not self.answer.called and messages.answers(string, self._sent, self._question):
            self.answer.callback(string)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Give up: there will be no answer."""
        if not self.answer.called:
            self.answer.errback(NoLongAnswer())

    def end(self) -> None:
        """Close the connection."""
        if self.transport is not None:
            self.transport.abortConnection()
