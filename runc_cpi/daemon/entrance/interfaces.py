"""What the entrance asks of the host."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from zope.interface import Interface


class ISockets(Interface):
    """Knows the other ends of TCP connections."""

    def owner(
        address: IPv4Address | IPv6Address,
        port: int,
        own_address: IPv4Address | IPv6Address,
        own_port: int,
    ) -> int | None:
        """
        Return the uid of the process of this host at the other end, L{None} if there is
        none.

        That is whoever has this address and port now.  It is the peer of a connection
        only if L{is_connected} says afterwards that there still is one.
        """

    def is_connected(connection: Any) -> bool:
        """Say whether a connection is still open, and was not reset."""

    def is_local(address: IPv4Address | IPv6Address) -> bool:
        """Say whether an address is one of this host's own."""
