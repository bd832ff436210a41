"""The way in: who may not connect is turned away before it can ask for anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
from runc_cpi.daemon.entrance.complaints import Complaints
from runc_cpi.daemon.entrance.lobby import hand_over
from runc_cpi.daemon.entrance.refusals import refusal
from runc_cpi.errors import AccessRefused

# How many may be told at once why they are refused, and of one peer.
LISTENERS = 64
LISTENERS_OF_ONE = 4
LISTENING_SECONDS = 5.0
LISTENING_BYTES = 1 << 16


class Gate(Factory):
    """
    Lets connections through by their source address, before TLS begins.

    @param factory: makes the protocols of those that come through.
    """

    noisy = False

    def __init__(
        self, factory: Any, networks: Sequence[Network], complaints: Complaints
    ) -> None:
        self._factory, self._networks, self._complaints = factory, networks, complaints

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Make a protocol, or nothing, which has the connection closed at once."""
        address = address_of(addr)
        if is_within(address, self._networks):
            return self._factory.buildProtocol(addr)
        _complain(self._complaints, Refusal(str(address), "add it to allow_from"))
        return None


def _complain(complaints: Complaints, why: Refusal) -> None:
    complaints.tell(
        why.who,
        "refused a connection from {who}; to let it in, {remedy}",
        who=why.who,
        remedy=why.remedy,
    )


class Door(Factory):
    """
    Asks each connection who it is, and hands it on or tells it why not.

    @param factory: makes the protocols of those that are let in.
    """

    noisy = False

    def __init__(
        self, factory: Factory, access: Access, complaints: Complaints, reactor: Any
    ) -> None:
        self.inner, self.access, self.reactor = factory, access, reactor
        self._complaints = complaints
        self._listeners: Counter[str] = Counter()

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Make what asks."""
        return Visitor(self)

    def refused(self, why: Refusal) -> bool:
        """Take note of a refusal, and say whether there is time to explain it."""
        _complain(self._complaints, why)
        if (
            self._listeners.total() >= LISTENERS
            or self._listeners[why.who] >= LISTENERS_OF_ONE
        ):
            return False
        self._listeners[why.who] += 1
        return True

    def told(self, why: Refusal) -> None:
        """One of those who were being told is gone."""
        self._listeners[why.who] -= 1
        self._listeners += Counter()  # forgets those that are at nothing


class Visitor(Protocol, TimeoutMixin):
    """A connection that is not let in yet, or not at all."""

    transport: Any

    def __init__(self, door: Door) -> None:
        self._door = door
        self._why: Refusal | None = None
        self._received = 0

    def callLater(self, period: float, function: Any) -> Any:
        """Use the daemon's clock for timeouts."""
        return self._door.reactor.callLater(period, function)

    def connectionMade(self) -> None:
        """Find out who it is."""
        peer, own = self.transport.getPeer(), self.transport.getHost()
        why = self._door.access.refusal(peer, own)
        if why is None and not self._door.access.sockets.is_connected(
            self.transport.getHandle()
        ):
            # It was reset, and who was asked about may be another by now.
            self.transport.abortConnection()
        elif why is None:
            hand_over(self.transport, self._door.inner.buildProtocol(peer))
        elif self._door.refused(why):
            self._why = why
            self.setTimeout(LISTENING_SECONDS)
        else:
            self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Answer a first call with the reason; what else comes is not looked at."""
        if self._why is None:
            return  # it is being cut off
        if not self._received:
            text = f"runc-cpid takes no calls from {self._why.who}; to let it in, "
            self.transport.write(refusal(AccessRefused(text + self._why.remedy)))
            # To close with something unread would take the answer from the peer.
            self.transport.loseWriteConnection()
        self._received += len(data)
        if self._received > LISTENING_BYTES:
            self.transport.abortConnection()

    def timeoutConnection(self) -> None:
        """Cut off a peer that does not take its answer and leave."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Make room for another."""
        self.setTimeout(None)
        if self._why is not None:
            self._door.told(self._why)
