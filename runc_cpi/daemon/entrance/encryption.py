"""TLS beneath AMP, and what a peer is told that uses one where the other is expected."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory

HANDSHAKE = 22  # the type of a client's first record (RFC 8446, section 5.1)
TLS_WANTED = (
    "runc-cpid expects TLS at this address; is tls missing in the CPI's configuration?"
)
NO_TLS_HERE = (
    "runc-cpid speaks no TLS at this address; is tls set in runc-cpid's configuration?"
)


def begins_tls(data: bytes) -> bool:
    """Say whether a connection begins with TLS, by the first bytes of it."""
    return data[:1] == bytes([HANDSHAKE])


class EncryptedFactory(TLSMemoryBIOFactory):
    """Puts TLS beneath the protocols that another factory makes, if it makes one."""

    protocol = BufferingTLSTransport

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Make the protocol with TLS beneath it, or nothing if there is no protocol."""
        protocol = self.wrappedFactory.buildProtocol(addr)
        return None if protocol is None else self.protocol(self, protocol)
