"""Which source addresses may connect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from twisted.logger import Logger

Network = IPv4Network | IPv6Network

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
QUIET_SECONDS = 60.0
REMEMBERED = 1024


class Quiet:
    """
    Says of what happens again and again that it is time to tell of it once more.

    @param seconds: the clock.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._told: dict[str, float] = {}

    def allows(self, what: str) -> bool:
        """Say whether C{what} was not told of for a minute."""
        now = self._seconds()
        if now - self._told.get(what, -QUIET_SECONDS) < QUIET_SECONDS:
            return False
        if len(self._told) >= REMEMBERED:
            self._told.clear()
        self._told[what] = now
        return True


class AccessList:
    """
    Lets in who comes from one of some networks, and says now and then who does not.

    @param networks: L{None} lets in everybody.
    @param seconds: the clock.
    """

    log = Logger()

    def __init__(
        self, networks: Sequence[Network] | None, seconds: Callable[[], float]
    ) -> None:
        self._networks, self._quiet = networks, Quiet(seconds)

    def admits(self, address: Any) -> bool:
        """
        Say whether a peer may connect.

        @param address: of the peer; one without C{host} is no network address, and its
            socket's file mode has decided.
        """
        host = getattr(address, "host", None)
        if self._networks is None or host is None:
            return True
        peer = ip_address(host.partition("%")[0])
        if isinstance(peer, IPv6Address) and peer.ipv4_mapped is not None:
            peer = peer.ipv4_mapped
        if any(peer in network for network in self._networks):
            return True
        if self._quiet.allows(str(peer)):
            self.log.warn(
                "refused a connection from {peer}; to let it in, add it to allow_from, "
                "or set tls",
                peer=str(peer),
            )
        return False
