"""Asks name servers: one after the other, by UDP, and by TCP for what is long."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure

from runc_cpi.daemon.host.dns import messages
from runc_cpi.daemon.host.dns.datagrams import Datagrams
from runc_cpi.daemon.host.dns.queries import Query
from runc_cpi.daemon.host.dns.trust import PATIENCE, Trust

PORT = 53
PATIENCE_FOR_LONG = 4.0  # seconds, by TCP


class NoAnswer(Exception):
    """No server has answered."""


class Upstream:
    """
    Asks the name servers that the host has.

    Each question goes out with a random id from a random port, and only what comes from
    the server that was asked, with that id and that question, is its answer.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._trust = Trust(reactor.seconds)

    async def ask(self, query: Query, servers: Sequence[str]) -> bytes:
        """
        Ask servers until one answers.

        @param servers: their addresses, in the order in which they are wanted.
        @return: the answer, with the id of the query; if all fail, the last one's failure.
        @raise NoAnswer: if none answers.
        """
        failure = None
        for server in servers:
            asked = self._reactor.seconds()
            sent = messages.renumbered(
                query.message, secrets.token_bytes(messages.NUMBER_SIZE)
            )
            try:
                answer = await self._ask(server, sent, query.question)
            except (NoAnswer, OSError):
                self._trust.missed(server, asked)
                continue
            self._trust.heard(server)
            answer = messages.renumbered(answer, query.number)
            if messages.code_of(answer) not in messages.FAILURES:
                return answer
            failure = answer
        if failure is None:
            raise NoAnswer
        return failure

    async def _ask(self, server: str, sent: bytes, question: bytes) -> bytes:
        """
        @raise NoAnswer: if the server does not answer.
        @raise OSError: if there is no way to it.
        """
        answer = await self._by_datagram(server, sent, question)
        if not messages.is_truncated(answer):
            return answer
        try:
            return await self._by_stream(server, sent, question)
        except (NoAnswer, OSError):
            return answer  # the client may try that itself

    async def _by_datagram(self, server: str, sent: bytes, question: bytes) -> bytes:
        coming: Deferred[bytes] = Deferred()

        def received(datagram: bytes, address: Any) -> None:
            if not coming.called and messages.answers(datagram, sent, question):
                coming.callback(datagram)

        def failed() -> None:
            if not coming.called:
                coming.errback(NoAnswer())

        with socket.socket(_family(server), socket.SOCK_DGRAM) as udp:
            # The kernel chooses a port at random, and lets in only what the server sends.
            udp.connect((server, PORT))
            udp.send(sent)
            datagrams = Datagrams(self._reactor, udp, received, failed)
            try:
                return await self._patiently(coming, self._trust.patience(server))
            finally:
                datagrams.close()

    async def _by_stream(self, server: str, sent: bytes, question: bytes) -> bytes:
        conversation = _Stream(sent, question)
        is_ipv4 = _family(server) == socket.AF_INET
        kind = TCP4ClientEndpoint if is_ipv4 else TCP6ClientEndpoint
        endpoint = kind(self._reactor, server, PORT, timeout=PATIENCE)
        try:
            await endpoint.connect(_Once(conversation))
            return await self._patiently(conversation.answer, PATIENCE_FOR_LONG)
        except (ConnectError, ConnectingCancelledError):
            raise NoAnswer from None
        finally:
            conversation.end()

    async def _patiently(self, coming: Deferred[bytes], seconds: float) -> bytes:
        try:
            return await coming.addTimeout(seconds, self._reactor)
        except TimeoutError:
            raise NoAnswer from None


def _family(server: str) -> socket.AddressFamily:
    return socket.AF_INET if ip_address(server).version == 4 else socket.AF_INET6


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
            self.answer.errback(NoAnswer())

    def end(self) -> None:
        """Close the connection."""
        if self.transport is not None:
            self.transport.abortConnection()
