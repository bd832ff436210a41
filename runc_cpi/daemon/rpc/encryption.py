"""TLS beneath AMP, and a word to those who speak one where the other is expected."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory

from runc_cpi.daemon.rpc.complaints import Complaints
from runc_cpi.daemon.rpc.refusals import refusal
from runc_cpi.errors import TLSRejected

HANDSHAKE = 22  # the type of a client's first record (RFC 8446, section 5.1)
TLS_WANTED = (
    "runc-cpid expects TLS at this address; is tls missing in the CPI's configuration?"
)
NO_TLS_HERE = (
    "runc-cpid speaks no TLS at this address; is tls set in runc-cpid's configuration?"
)


def begins_tls(data: bytes) -> bool:
    """Say whether a connection that begins with C{data} is to be one with TLS."""
    return data[:1] == bytes([HANDSHAKE])


class EncryptedTransport(BufferingTLSTransport):
    """TLS over a connection; what begins without is told so, without."""

    factory: EncryptedFactory
    _has_begun = False
    _is_refused = False

    def dataReceived(self, data: bytes) -> None:
        """Pass on what was decrypted."""
        if not self._has_begun:
            self._has_begun = True
            self._is_refused = not begins_tls(data)
            if self._is_refused:
                self._refuse()
        if not self._is_refused:
            super().dataReceived(data)

    def _refuse(self) -> None:
        transport: Any = self.transport
        peer = str(transport.getPeer().host)
        self.factory.complaints.tell(
            peer, "refused a connection from {peer}: it does not speak TLS", peer=peer
        )
        transport.write(refusal(TLSRejected(TLS_WANTED)))
        transport.loseConnection()


class EncryptedFactory(TLSMemoryBIOFactory):
    """
    Puts TLS beneath the protocols that another factory makes, if it makes one.

    @ivar complaints: where it is told who does not speak TLS.
    """

    protocol = EncryptedTransport

    def __init__(
        self, creator: Any, factory: Factory, complaints: Complaints, reactor: Any
    ) -> None:
        super().__init__(creator, isClient=False, wrappedFactory=factory, clock=reactor)
        self.complaints = complaints

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Make both, or nothing, which has the connection closed at once."""
        protocol = self.wrappedFactory.buildProtocol(addr)
        return None if protocol is None else self.protocol(self, protocol)
