"""All connections of the daemon: one protocol each, within limits, until it stops."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from runc_cpi.daemon.config import LimitsConfig
from runc_cpi.daemon.entrance.access import Address
from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.entrance.strangers import Strangers
from runc_cpi.daemon.entrance.viewers import Viewers
from runc_cpi.daemon.rpc.protocol import CPIProtocol
from runc_cpi.daemon.rpc.subjects import Subjects
from runc_cpi.daemon.vms.vm import VM

# For how long a new connection keeps its place: it takes that long to begin TLS and to make
# a first call on a host that has much to do.
GRACE_SECONDS = 0.75
EVERYBODY_ACTS = Viewers()


class CPIFactory(Factory):
    """
    Makes a protocol for each connection, while there is room.

    @param peer_log: is told when there is none.
    @param viewers: who may only look.
    """

    noisy = False

    def __init__(
        self,
        subjects: Subjects,
        limits: LimitsConfig,
        peer_log: PeerLog,
        reactor: Any,
        viewers: Viewers = EVERYBODY_ACTS,
    ) -> None:
        self._viewers = viewers
        self._subjects, self._limits = subjects, limits
        self._peer_log, self._reactor = peer_log, reactor
        self._connections: set[CPIProtocol] = set()
        self._known: set[CPIProtocol] = set()
        self._strangers: Strangers[CPIProtocol] = Strangers(
            limits.strangers, GRACE_SECONDS, peer_log, reactor.seconds, self._vm_at
        )
        self._empty: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> CPIProtocol | None:
        """Make a protocol, or nothing, which has the connection closed at once."""
        if self._is_full():
            return None
        if not self._strangers.admits(addr):
            return None
        protocol = CPIProtocol(
            self._subjects,
            self._limits,
            self._reactor,
            self._peer_log,
            self,
            self._viewers,
        )
        self._connections.add(protocol)
        self._strangers.add(protocol, addr)
        return protocol

    def _vm_at(self, address: Address) -> VM | None:
        return self._subjects.vms.at(address)

    def _is_full(self) -> bool:
        if len(self._known) < self._limits.connections:
            return False
        self._peer_log.warn("connections", "limits.connections are open: no more are taken")
        return True

    def introduced(self, protocol: CPIProtocol) -> bool:
        """Count a connection that makes its first call; return whether it may go on."""
        if self._is_full():
            return False
        self._strangers.discard(protocol)
        self._known.add(protocol)
        return True

    def left(self, protocol: CPIProtocol) -> None:
        """Forget a connection that is gone."""
        self._strangers.discard(protocol)
        self._known.discard(protocol)
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
