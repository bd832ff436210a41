"""One question to several name servers: each that was asked may answer until the end."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import DeferredQueue

from runc_cpi.daemon.host.dns import messages
from runc_cpi.daemon.host.dns.datagrams import Datagrams
from runc_cpi.daemon.host.dns.messages import PORT
from runc_cpi.daemon.host.dns.queries import Query

# A server, and its answer, or L{None} if nobody listens there.
Told = tuple[str, bytes | None]


class Inquiry:
    """
    A question by UDP.

    It goes to each server with a random id from a random port.  Only what comes from that
    server, with that id and that question, is its answer.
    """

    def __init__(self, reactor: Any, query: Query) -> None:
        self._reactor, self._query = reactor, query
        self._told: DeferredQueue[Told] = DeferredQueue()
        self._waits_for: dict[str, _Asked] = {}

    @property
    def is_over(self) -> bool:
        """Whether all servers that were asked have told, and that was taken."""
        return not self._waits_for and not self._told.pending

    def ask(self, server: str) -> None:
        """Ask one more server."""
        try:
            asked = _Asked(self._reactor, server, self._query, self._take)
        except OSError:
            self._told.put((server, None))  # there is no way to it
        else:
            self._waits_for[server] = asked

    def repeat(self) -> None:
        """Ask once more those that have not answered: datagrams get lost."""
        for asked in self._waits_for.values():
            asked.send()

    async def told(self, seconds: float) -> Told:
        """
        Return what a server has told, in the order in which they did.

        @raise twisted.internet.defer.TimeoutError: if none does in so much time.
        """
        return await self._told.get().addTimeout(seconds, self._reactor)

    def _take(self, server: str, answer: bytes | None) -> None:
        self._waits_for.pop(server).close()
        self._told.put((server, answer))

    def close(self) -> None:
        """Listen to nobody any more."""
        while self._waits_for:
            self._waits_for.popitem()[1].close()


class _Asked:
    """
    A server that was asked.

    @param take: takes the server and its answer, or L{None}, once.
    @raise OSError: if there is no way to it.
    """

    def __init__(
        self,
        reactor: Any,
        server: str,
        query: Query,
        take: Callable[[str, bytes | None], None],
    ) -> None:
        self._server, self._question, self._take = server, query.question, take
        self._sent = messages.randomly_numbered(query.message)
        is_ipv4 = ip_address(server).version == 4
        family = socket.AF_INET if is_ipv4 else socket.AF_INET6
        with ExitStack() as undo:
            udp = undo.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            # The kernel chooses a port at random, and lets in only what the server sends.
            udp.connect((server, PORT))
            udp.send(self._sent)
            undo.pop_all()
        self._is_over = False
        self._datagrams = Datagrams(reactor, udp, self._received, self._failed)

    def send(self) -> None:
        """Ask again."""
        self._datagrams.send(self._sent, (self._server, PORT))

    def _received(self, datagram: bytes, address: Any) -> None:
        if messages.answers(datagram, self._sent, self._question):
            self._end(datagram)

    def _failed(self) -> None:
        self._end(None)

    def _end(self, answer: bytes | None) -> None:
        # What was read already may hold a second answer.
        if not self._is_over:
            self._take(self._server, answer)

    def close(self) -> None:
        """Listen no more."""
        self._is_over = True
        self._datagrams.close()
