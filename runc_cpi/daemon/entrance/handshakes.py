"""Connections wait here to begin TLS; until they do, they cost no more than a socket."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure

from runc_cpi.daemon.config import LimitsConfig
from runc_cpi.daemon.entrance.access import Address
from runc_cpi.daemon.entrance.encryption import TLS_WANTED, begins_tls
from runc_cpi.daemon.entrance.first_answer import first_answer
from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.entrance.strangers import Strangers
from runc_cpi.daemon.vms.vm import VM
from runc_cpi.errors import TLSRejected

# For how long a connection keeps its place; a caller speaks as soon as it is connected.
GRACE_SECONDS = 0.25
# Handshakes begun in a turn of the reactor.  Each blocks the reactor for a millisecond.
HANDSHAKES_A_TURN = 2
# How many connections of one origin may wait for their turn, which takes a fraction of a
# second.  The rest is closed, and may try again.
QUEUE_OF_ONE_ORIGIN = 64


class HandshakeQueue(Factory):
    """
    Hands on connections that begin with TLS, and tells others that they must.

    It hands on only a few in each turn of the reactor, one of each origin after the other.
    So a flood from one origin delays neither open connections nor those of other origins.

    @param factory: makes the protocols of those that are handed on.
    @param peer_log: is told who does not speak TLS.
    @param vm_at: returns the VM that has an address.
    @param answer: what these get, in the protocol that they may speak.
    """

    noisy = False

    def __init__(
        self,
        factory: Any,
        limits: LimitsConfig,
        peer_log: PeerLog,
        reactor: Any,
        vm_at: Callable[[Address], VM | None],
        answer: bytes = first_answer(TLSRejected(TLS_WANTED)),
    ) -> None:
        self.inner, self.limits = factory, limits
        self.peer_log, self.reactor, self.answer = peer_log, reactor, answer
        self.waiting: Strangers[WaitingConnection] = Strangers(
            limits.strangers, GRACE_SECONDS, peer_log, reactor.seconds, vm_at
        )
        # By origin; the origin that was served last is at the end.
        self._queues: dict[str, deque[WaitingConnection]] = {}

    def buildProtocol(self, addr: IAddress | None) -> WaitingConnection | None:
        """Make what waits for TLS, or nothing, which has the connection closed at once."""
        # It would be closed once it begins TLS, which costs three times as much.
        waiting = self._queues.get(self.waiting.origin_of(addr), ())
        has_no_place = len(waiting) >= QUEUE_OF_ONE_ORIGIN
        if has_no_place or not self.waiting.admits(addr):
            return None
        connection = WaitingConnection(self)
        self.waiting.add(connection, addr)
        return connection

    def enqueue(self, connection: WaitingConnection) -> bool:
        """
        Hand a connection on when it is its turn.

        The connection that came last from the origin with the most may be closed for it.

        @return: whether there is room for it to wait.
        """
        self.waiting.discard(connection)
        origin = self.waiting.origin_of(connection.transport.getPeer())
        own = len(self._queues.get(origin, ()))
        if own >= QUEUE_OF_ONE_ORIGIN:
            return False
        if sum(map(len, self._queues.values())) >= self.limits.strangers:
            longest = max(self._queues.values(), key=len)
            if len(longest) <= own + 1:
                return False
            longest.pop().timeoutConnection()
        if not self._queues:
            self.reactor.callLater(0, self._proceed)
        self._queues.setdefault(origin, deque()).append(connection)
        return True

    def _proceed(self) -> None:
        try:
            for _ in range(min(HANDSHAKES_A_TURN, sum(map(len, self._queues.values())))):
                origin = next(iter(self._queues))
                queue = self._queues.pop(origin)
                connection = queue.popleft()
                if queue:
                    self._queues[origin] = queue
                connection.proceed()
        finally:
            if self._queues:
                self.reactor.callLater(0, self._proceed)


class WaitingConnection(Protocol, TimeoutMixin):
    """A connection that has sent nothing yet, or waits for its turn to begin TLS."""

    transport: Any

    def __init__(self, queue: HandshakeQueue) -> None:
        self._queue = queue
        self._begun = b""
        self._is_gone = False

    def callLater(self, period: float, function: Any) -> Any:
        """Use the daemon's clock for timeouts."""
        return self._queue.reactor.callLater(period, function)

    def connectionMade(self) -> None:
        """Begin to count the time."""
        self.setTimeout(self._queue.limits.first_seconds)

    def dataReceived(self, data: bytes) -> None:
        """Wait for the turn of this connection if it begins with TLS; refuse it if not."""
        self.setTimeout(None)
        if begins_tls(data):
            self._begun = data
            self.transport.pauseProducing()
            if not self._queue.enqueue(self):
                self.transport.abortConnection()
            return
        peer = str(self.transport.getPeer().host)
        self._queue.peer_log.warn(
            peer, "refused a connection from {peer}: it does not speak TLS", peer=peer
        )
        self.transport.write(self._queue.answer)
        self.transport.loseConnection()

    def proceed(self) -> None:
        """Begin TLS: it is the turn of this connection."""
        if self._is_gone:
            return
        protocol = self._queue.inner.buildProtocol(self.transport.getPeer())
        if hand_over(self.transport, protocol):
            self.transport.resumeProducing()
            protocol.dataReceived(self._begun)

    def timeoutConnection(self) -> None:
        """Cut off a peer that says nothing."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Give up the place of this connection."""
        self._is_gone = True
        self.setTimeout(None)
        self._queue.waiting.discard(self)


def hand_over(transport: Any, protocol: Any) -> bool:
    """
    Let another protocol go on with a connection; without one it is cut off.

    @return: whether the connection goes on.
    """
    if protocol is None:
        transport.abortConnection()
        return False
    transport.protocol = protocol
    protocol.makeConnection(transport)
    return True
