"""One gateway: it takes queries from its subnet alone, and has them answered."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, NamedTuple

from twisted.internet.defer import maybeDeferred

from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.host.dns.datagrams import Datagrams
from runc_cpi.daemon.host.dns.messages import PORT
from runc_cpi.daemon.host.dns.places import Places
from runc_cpi.daemon.host.dns.queries import LONGEST_QUERY, BadQuery, fitted, read_query
from runc_cpi.daemon.host.dns.resolver import Resolver, TooMany
from runc_cpi.daemon.host.dns.stream import Streams
from runc_cpi.daemon.networks.model import Address, IPNetwork

BACKLOG = 32  # connections that the kernel keeps until they are taken


class Place(NamedTuple):
    """
    Where queries are taken.

    @ivar cidr: from whom.
    @ivar bridge: the name of the interface by which they come.
    @ivar number: of that interface: a bridge that is made anew is another one.
    """

    gateway: Address
    cidr: IPNetwork
    bridge: str
    number: int


@dataclass(frozen=True, kw_only=True)
class Desk:
    """
    What all gateways share.

    @ivar connections: places for the clients'.
    @ivar client_of: names who has an address: so much may be under way for each.
    """

    reactor: Any
    resolver: Resolver
    connections: Places
    tasks: TaskGroup
    client_of: Callable[[str], str] = str


class Gateway:
    """
    The sockets at one gateway, which are open from the beginning.

    They are bound to the bridge as well as to the address.  So what comes to the address by
    another interface finds no socket, whoever it claims to be from.

    @raise OSError: if the sockets cannot be made.
    """

    def __init__(self, desk: Desk, place: Place) -> None:
        self._desk, self._place = desk, place
        self._streams = Streams(
            desk.reactor, self.answer_stream, desk.connections, desk.tasks, desk.client_of
        )
        with ExitStack() as undo:
            udp = undo.enter_context(self._bound(socket.SOCK_DGRAM))
            tcp = undo.enter_context(self._bound(socket.SOCK_STREAM))
            tcp.listen(BACKLOG)
            self._port = desk.reactor.adoptStreamPort(
                tcp.fileno(), tcp.family, self._streams
            )
            tcp.close()  # the port has a descriptor of its own
            undo.pop_all()
        self._datagrams = Datagrams(desk.reactor, udp, self._datagram_received)

    def _bound(self, kind: socket.SocketKind) -> socket.socket:
        gateway = self._place.gateway
        family = socket.AF_INET if gateway.version == 4 else socket.AF_INET6
        bound = socket.socket(family, kind)
        try:
            bound.setblocking(False)
            if kind is socket.SOCK_STREAM:
                # Connections of an earlier daemon may linger (tcp(7)).
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bridge = self._place.bridge.encode()
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, bridge)
            bound.bind((str(gateway), PORT))
        except OSError:
            bound.close()
            raise
        return bound

    async def close(self) -> None:
        """Answer no more."""
        self._datagrams.close()
        self._streams.close()
        await maybeDeferred(self._port.stopListening)

    def _datagram_received(self, datagram: bytes, address: Any) -> None:
        answering = self._answer_datagram(datagram, address)
        self._desk.tasks.start("answering a DNS query", answering, awaited=False)

    async def _answer_datagram(self, datagram: bytes, address: Any) -> None:
        answer = await self._answer(datagram, address[0], by_datagram=True)
        if answer is not None:
            self._datagrams.send(answer, address)

    async def answer_stream(self, message: bytes, client: str) -> bytes | None:
        """Answer a message that came by TCP; return L{None} if there is no answer."""
        return await self._answer(message, client, by_datagram=False)

    async def _answer(
        self, message: bytes, client: str, *, by_datagram: bool
    ) -> bytes | None:
        # A VM may be free to send from any address (security.anti_spoofing).
        if ip_address(client) not in self._place.cidr or len(message) > LONGEST_QUERY:
            return None
        try:
            query = read_query(message)
            who, gateway = self._desk.client_of(client), self._place.gateway
            answer = await self._desk.resolver.answer(query, who, gateway)
            return fitted(answer, query) if by_datagram else answer
        except BadQuery as error:
            return error.reply
        except TooMany:
            return None  # the client asks again
