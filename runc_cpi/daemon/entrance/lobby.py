"""Where connections wait that are to speak TLS; until they do, they cost very little."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure

from runc_cpi.daemon.config import LimitsConfig
from runc_cpi.daemon.entrance.complaints import Complaints
from runc_cpi.daemon.entrance.encryption import TLS_WANTED, begins_tls
from runc_cpi.daemon.entrance.refusals import refusal
from runc_cpi.daemon.entrance.strangers import Strangers, home_of
from runc_cpi.errors import TLSRejected

# A caller speaks as soon as it is connected.
GRACE_SECONDS = 0.25
# Each costs a millisecond, in which nothing else is done.
HANDSHAKES_A_TURN = 2
# Of one address, for a fraction of a second; who has no place in it may try again.
LINE = 64


class Lobby(Factory):
    """
    Hands on connections that begin with TLS, and tells others that they must.

    Only a few are handed on in each turn of the reactor, by turns from each address, so
    that those who are known, and new connections, never wait for long.

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
        # By where they come from; who was served last is at the end.
        self._lines: dict[str, deque[Newcomer]] = {}

    def buildProtocol(self, addr: IAddress | None) -> Newcomer | None:
        """Make what waits, or nothing, which has the connection closed at once."""
        # To look at what it says would be in vain, and cost three times as much.
        is_in_vain = len(self._lines.get(home_of(addr), ())) >= LINE
        if is_in_vain or not self.waiting.admits(addr):
            return None
        newcomer = Newcomer(self)
        self.waiting.add(newcomer, addr)
        return newcomer

    def line_up(self, newcomer: Newcomer) -> bool:
        """
        Hand a connection on when it is its turn.

        @return: whether there is room to wait for that.
        """
        self.waiting.discard(newcomer)
        home = home_of(newcomer.transport.getPeer())
        own = len(self._lines.get(home, ()))
        if own >= LINE:
            return False
        if sum(map(len, self._lines.values())) >= self.limits.strangers:
            longest = max(self._lines.values(), key=len)
            if len(longest) <= own + 1:
                return False
            longest.pop().timeoutConnection()
        if not self._lines:
            self.reactor.callLater(0, self._proceed)
        self._lines.setdefault(home, deque()).append(newcomer)
        return True

    def _proceed(self) -> None:
        try:
            for _ in range(min(HANDSHAKES_A_TURN, sum(map(len, self._lines.values())))):
                home = next(iter(self._lines))
                line = self._lines.pop(home)
                newcomer = line.popleft()
                if line:
                    self._lines[home] = line
                newcomer.proceed()
        finally:
            if self._lines:
                self.reactor.callLater(0, self._proceed)


class Newcomer(Protocol, TimeoutMixin):
    """A connection that has said nothing yet."""

    transport: Any

    def __init__(self, lobby: Lobby) -> None:
        self._lobby = lobby
        self._begun = b""
        self._is_gone = False

    def callLater(self, period: float, function: Any) -> Any:
        """Use the daemon's clock for timeouts."""
        return self._lobby.reactor.callLater(period, function)

    def connectionMade(self) -> None:
        """Begin to count the time."""
        self.setTimeout(self._lobby.limits.first_seconds)

    def dataReceived(self, data: bytes) -> None:
        """Wait for our turn if this is TLS."""
        self.setTimeout(None)
        if begins_tls(data):
            self._begun = data
            self.transport.pauseProducing()
            if not self._lobby.line_up(self):
                self.transport.abortConnection()
            return
        peer = str(self.transport.getPeer().host)
        self._lobby.complaints.tell(
            peer, "refused a connection from {peer}: it does not speak TLS", peer=peer
        )
        self.transport.write(refusal(TLSRejected(TLS_WANTED)))
        self.transport.loseConnection()

    def proceed(self) -> None:
        """It is our turn."""
        if self._is_gone:
            return
        protocol = self._lobby.inner.buildProtocol(self.transport.getPeer())
        if hand_over(self.transport, protocol):
            self.transport.resumeProducing()
            protocol.dataReceived(self._begun)

    def timeoutConnection(self) -> None:
        """Cut off a peer that says nothing."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Leave the place to another."""
        self._is_gone = True
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
