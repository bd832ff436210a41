"""Clients that may only look: they are told what there is, and change nothing."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from runc_cpi.daemon.entrance.identity import client_names


class Viewers:
    """
    Who may only look, by the names in the client certificates.

    @param names: an alternative name or the common name of each.
    """

    def __init__(self, names: Collection[str] = ()) -> None:
        self._names = frozenset(names)

    def name_of(self, transport: Any) -> str | None:
        """
        Return the name by which a peer may only look; L{None} if it may do all.

        @param transport: of a connection whose TLS handshake is done, if there is TLS.
        """
        if not self._names:
            return None
        certificate = transport.getPeerCertificate().to_cryptography()
        return min(client_names(certificate) & self._names, default=None)
