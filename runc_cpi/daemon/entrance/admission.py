"""Connections are let in or refused before they can make a call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure

from runc_cpi.daemon.entrance.access import (
    Access,
    Network,
    Refusal,
    address_of,
    is_within,
)
from runc_cpi.daemon.entrance.first_answer import first_answer
from runc_cpi.daemon.entrance.handshakes import hand_over
from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.errors import AccessRefused

# How many refused connections may wait for their answer at once, and how many of one peer.
REFUSED_AT_ONCE = 64
REFUSED_OF_ONE_PEER = 4
# For how long a refused connection may stay, and how much it may send.
REFUSED_SECONDS = 5.0
REFUSED_BYTES = 1 << 16


class SourceFilter(Factory):
    """
    Lets connections in by their source address, before TLS begins; closes all others.

    @param factory: makes the protocols of those that are let in.
    @param networks: from where connections are let in.
    @param vm_networks: returns the networks of VMs, which are let in as well.
    @param key: of the configuration, which has C{networks}.
    """

    noisy = False

    def __init__(
        self,
        factory: Any,
        networks: Sequence[Network],
        vm_networks: Callable[[], Sequence[Network]],
        peer_log: PeerLog,
        key: str = "allow_from",
    ) -> None:
        self._factory, self._networks, self._peer_log = factory, networks, peer_log
        self._vm_networks, self._key = vm_networks, key

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Make a protocol, or nothing, which has the connection closed at once."""
        address = address_of(addr)
        if is_within(address, [*self._networks, *self._vm_networks()]):
            return self._factory.buildProtocol(addr)
        _warn(self._peer_log, Refusal(str(address), f"add it to {self._key}"))
        return None


def _warn(peer_log: PeerLog, why: Refusal) -> None:
    peer_log.warn(
        why.who,
        "refused a connection from {who}; to let it in, {remedy}",
        who=why.who,
        remedy=why.remedy,
    )


class CallerCheck(Factory):
    """
    Lets in connections without TLS if L{Access} says so; tells all others why not.

    @param factory: makes the protocols of those that are let in.
    @param access: who may connect.
    """

    noisy = False

    def __init__(
        self, factory: Factory, access: Access, peer_log: PeerLog, reactor: Any
    ) -> None:
        self.inner, self.access, self.reactor = factory, access, reactor
        self._peer_log = peer_log
        self._refused: Counter[str] = Counter()

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Make what finds out who it is, once it is connected."""
        return UncheckedConnection(self)

    def refused(self, why: Refusal) -> bool:
        """Log a refusal; return whether the connection may stay for its answer."""
        _warn(self._peer_log, why)
        if (
            self._refused.total() >= REFUSED_AT_ONCE
            or self._refused[why.who] >= REFUSED_OF_ONE_PEER
        ):
            return False
        self._refused[why.who] += 1
        return True

    def gone(self, why: Refusal) -> None:
        """Note that a refused connection is gone."""
        self._refused[why.who] -= 1
        self._refused += Counter()  # forgets those that are at nothing


class UncheckedConnection(Protocol, TimeoutMixin):
    """A connection without TLS: it is let in as soon as it is connected, or refused."""

    transport: Any

    def __init__(self, check: CallerCheck) -> None:
        self._check = check
        self._why: Refusal | None = None
        self._received = 0

    def callLater(self, period: float, function: Any) -> Any:
        """Use the daemon's clock for timeouts."""
        return self._check.reactor.callLater(period, function)

    def connectionMade(self) -> None:
        """Let the connection in, or refuse it."""
        peer, own = self.transport.getPeer(), self.transport.getHost()
        why = self._check.access.refusal(peer, own)
        if why is None and not self._check.access.sockets.is_connected(
            self.transport.getHandle()
        ):
            # It was reset, and who was asked about may be another by now.
            self.transport.abortConnection()
        elif why is None:
            hand_over(self.transport, self._check.inner.buildProtocol(peer))
        elif self._check.refused(why):
            self._why = why
            self.setTimeout(REFUSED_SECONDS)
        else:
            self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Answer a first call with the reason; what else comes is not looked at."""
        if self._why is None:
            return  # it is being cut off
        if not self._received:
            text = f"runc-cpid takes no calls from {self._why.who}; to let it in, "
            self.transport.write(first_answer(AccessRefused(text + self._why.remedy)))
            # To close with something unread would take the answer from the peer.
            self.transport.loseWriteConnection()
        self._received += len(data)
        if self._received > REFUSED_BYTES:
            self.transport.abortConnection()

    def timeoutConnection(self) -> None:
        """Cut off a peer that does not take its answer and leave."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Make room for another refused connection."""
        self.setTimeout(None)
        if self._why is not None:
            self._check.gone(self._why)
