"""Connections that are not known yet: few, and none keeps out those of others."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address, ip_network
from typing import Any, Generic, Protocol, TypeVar

from runc_cpi.daemon.entrance.access import address_of
from runc_cpi.daemon.entrance.complaints import Complaints

# What one who has IPv6 usually gets (RFC 6177).
IPV6_PREFIX = 64


class Stranger(Protocol):
    """A connection that can be ended."""

    def timeoutConnection(self) -> None:
        """End it."""


T = TypeVar("T", bound=Stranger)


class Strangers(Generic[T]):
    """
    Places for strangers, and who must go when there is none.

    Whoever comes from an address with fewer strangers than another has gets a place of
    that one.  Of those from the address with the most, one gets a place when another had
    it for C{grace} seconds: so each that got one has that time to become known, and what
    a flood costs is bounded whatever its rate.

    @param limit: how many places there are.
    @param complaints: where it is told that there is none.
    @param seconds: the clock.
    """

    def __init__(
        self,
        limit: int,
        grace: float,
        complaints: Complaints,
        seconds: Callable[[], float],
    ) -> None:
        self._limit, self._grace = limit, grace
        self._complaints, self._seconds = complaints, seconds
        self._homes: dict[T, str] = {}
        # By where they come from, in the order in which they came.
        self._since: dict[str, dict[T, float]] = {}

    def __len__(self) -> int:
        """Say how many there are."""
        return len(self._homes)

    def admits(self, peer: Any) -> bool:
        """Say whether there is a place for a peer; another may have to leave for it."""
        if len(self._homes) < self._limit:
            return True
        self._complaints.tell(
            "strangers", "limits.strangers are open: who has made no call yet makes room"
        )
        own = self._since.get(home_of(peer), {})
        most = max(self._since.values(), key=len)
        oldest = next(iter(most))
        if len(most) <= len(own) + 1 and self._seconds() - most[oldest] < self._grace:
            return False
        self.discard(oldest)
        oldest.timeoutConnection()
        return True

    def add(self, stranger: T, peer: Any) -> None:
        """Give a place to who comes from C{peer}."""
        home = self._homes[stranger] = home_of(peer)
        self._since.setdefault(home, {})[stranger] = self._seconds()

    def discard(self, stranger: T) -> None:
        """Take the place of one who is known now, or gone."""
        home = self._homes.pop(stranger, None)
        if home is not None:
            del self._since[home][stranger]
            if not self._since[home]:
                del self._since[home]


def home_of(peer: Any) -> str:
    """Name where a peer comes from: its address, or with IPv6 the network of that."""
    if getattr(peer, "host", None) is None:
        return "a socket file"
    address = address_of(peer)
    if isinstance(address, IPv6Address) and not address.is_loopback:
        return str(ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)
