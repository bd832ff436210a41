"""Where connections wait that are to speak TLS; until they do, they cost very little."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure

from runc_cpi.daemon.config import LimitsConfig
from runc_cpi.daemon.rpc.complaints import Complaints
from runc_cpi.daemon.rpc.encryption import TLS_WANTED, begins_tls
from runc_cpi.daemon.rpc.refusals import refusal
from runc_cpi.daemon.rpc.strangers import Strangers
from runc_cpi.errors import TLSRejected

# A caller speaks as soon as it is connected.
GRACE_SECONDS = 0.25


class Lobby(Factory):
    """
    Hands on connections that begin with TLS, and tells others that they must.

    @param factory: makes the protocols of those that are handed on.
    @param complaints: where it is told who does not speak TLS.
    """

    noisy = False

    def __init__(
        self, factory: Any, limits: LimitsConfig, complaints: Complaints, reactor: Any
    ) -> None:
        self.inner, self.limits = factory, limits
        self.complaints, self.reactor = complaints, reactor
        self.waiting: Strangers[Newcomer] = Strangers(
            limits.strangers, GRACE_SECONDS, complaints, reactor.seconds
        )

    def buildProtocol(self, addr: IAddress | None) -> Newcomer | None:
        """Make what waits, or nothing, which has the connection closed at once."""
        if not self.waiting.admits(addr):
            return None
        newcomer = Newcomer(self)
        self.waiting.add(newcomer, addr)
        return newcomer


class Newcomer(Protocol, TimeoutMixin):
    """A connection that has said nothing yet."""

    transport: Any

    def __init__(self, lobby: Lobby) -> None:
        self._lobby = lobby

    def callLater(self, period: float, function: Any) -> Any:
        """Use the daemon's clock for timeouts."""
        return self._lobby.reactor.callLater(period, function)

    def connectionMade(self) -> None:
        """Begin to count the time."""
        self.setTimeout(self._lobby.limits.first_seconds)

    def dataReceived(self, data: bytes) -> None:
        """Hand the connection on if this is TLS."""
        self._leave()
        peer = self.transport.getPeer()
        if begins_tls(data):
            if hand_over(self.transport, self._lobby.inner.buildProtocol(peer)):
                self.transport.protocol.dataReceived(data)
            return
        self._lobby.complaints.tell(
            str(peer.host),
            "refused a connection from {peer}: it does not speak TLS",
            peer=str(peer.host),
        )
        self.transport.write(refusal(TLSRejected(TLS_WANTED)))
        self.transport.loseConnection()

    def timeoutConnection(self) -> None:
        """Cut off a peer that says nothing."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Leave the place to another."""
        self._leave()

    def _leave(self) -> None:
        self.setTimeout(None)
        self._lobby.waiting.discard(self)


def hand_over(transport: Any, protocol: Any) -> bool:
    """Let another protocol go on with a connection; without one it is cut off."""
    if protocol is None:
        transport.abortConnection()
        return False
    transport.protocol = protocol
    protocol.makeConnection(transport)
    return True
