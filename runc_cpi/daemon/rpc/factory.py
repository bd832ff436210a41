"""Who is connected: a protocol for each connection, and an end for all of them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from runc_cpi.daemon.config import LimitsConfig
from runc_cpi.daemon.rpc.complaints import Complaints
from runc_cpi.daemon.rpc.protocol import CPIProtocol, Domain


class CPIFactory(Factory):
    """
    Makes a protocol for each connection, while there is room.

    @param complaints: where it is told that there is none.
    """

    noisy = False

    def __init__(
        self, domain: Domain, limits: LimitsConfig, complaints: Complaints, reactor: Any
    ) -> None:
        self._domain, self._limits = domain, limits
        self._complaints, self._reactor = complaints, reactor
        self._connections: set[CPIProtocol] = set()
        # In the order in which they came.
        self._silent: dict[CPIProtocol, None] = {}
        self._empty: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> CPIProtocol | None:
        """Make a protocol, or nothing, which has the connection closed at once."""
        if len(self._connections) >= self._limits.connections and not self._make_room():
            return None
        protocol = CPIProtocol(
            self._domain, self._limits, self._reactor, self._complaints, self
        )
        self._connections.add(protocol)
        self._silent[protocol] = None
        return protocol

    def _make_room(self) -> bool:
        """
        End the oldest connection that has not come to a first call.

        With TLS that is one without an accepted certificate: strangers who only hold
        connections keep nobody out.
        """
        self._complaints.tell(
            "connections",
            "limits.connections are open: one of them, or a new one, must go",
        )
        for protocol in self._silent:
            del self._silent[protocol]
            protocol.timeoutConnection()
            return True
        return False

    def introduced(self, protocol: CPIProtocol) -> None:
        """A connection has come to its first call."""
        self._silent.pop(protocol, None)

    def left(self, protocol: CPIProtocol) -> None:
        """A connection that was let in is gone."""
        self._silent.pop(protocol, None)
        self._connections.discard(protocol)
        if not self._connections and self._empty is not None:
            empty, self._empty = self._empty, None
            empty.callback(None)

    async def drain(self, seconds: float) -> bool:
        """
        Take no more calls, and wait until those under way are answered.

        @return: whether they were, within so many seconds.
        """
        for protocol in list(self._connections):
            protocol.retire()
        if not self._connections:
            return True
        self._empty = Deferred()
        alarm = self._reactor.callLater(seconds, self._empty.cancel)
        try:
            await self._empty
        except CancelledError:
            self._empty = None
            return False
        alarm.cancel()
        return True
