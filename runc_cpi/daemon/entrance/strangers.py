"""Strangers are connections that have made no call yet: only so many may be open."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address, ip_network
from typing import Any, Generic, Protocol, TypeVar

from runc_cpi.daemon.entrance.access import Address, address_of
from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.vms.vm import VM

# What one who has IPv6 usually gets (RFC 6177).
IPV6_PREFIX = 64
FULL = "limits.strangers are open: connections without a call are closed for new ones"


class Stranger(Protocol):
    """A connection that has made no call yet."""

    def timeoutConnection(self) -> None:
        """End it."""


T = TypeVar("T", bound=Stranger)


class Strangers(Generic[T]):
    """
    The strangers that are open, and which of them is closed for one more.

    A connection has an origin: the VM that has its address, or else the address, or with
    IPv6 the network of that.  If all places are taken, one from an origin with fewer
    strangers than another takes a place of the origin with the most.  One from the origin
    with the most takes a place only if the oldest there had it for C{grace} seconds.  So
    each stranger has that time to make its call, no origin keeps out another, and a flood
    costs the same whatever its rate.

    @param limit: how many may be open at once.
    @param grace: seconds.
    @param peer_log: is told when all places are taken.
    @param seconds: the clock.
    @param vm_at: returns the VM that has an address.
    @param full: what it is told then.
    """

    def __init__(
        self,
        limit: int,
        grace: float,
        peer_log: PeerLog,
        seconds: Callable[[], float],
        vm_at: Callable[[Address], VM | None],
        full: str = FULL,
    ) -> None:
        self._limit, self._grace, self._full = limit, grace, full
        self._peer_log, self._seconds, self._vm_at = peer_log, seconds, vm_at
        self._origins: dict[T, str] = {}
        # By origin, in the order in which they came.
        self._since: dict[str, dict[T, float]] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._origins)

    def admits(self, peer: Any) -> bool:
        """Return whether there is a place for a peer; another may be closed for it."""
        if len(self._origins) < self._limit:
            return True
        self._peer_log.warn(self._full, self._full)
        own = self._since.get(self.origin_of(peer), {})
        most = max(self._since.values(), key=len)
        oldest = next(iter(most))
        if len(most) <= len(own) + 1 and self._seconds() - most[oldest] < self._grace:
            return False
        self.discard(oldest)
        oldest.timeoutConnection()
        return True

    def add(self, stranger: T, peer: Any) -> None:
        """Give a place to a connection that comes from C{peer}."""
        origin = self._origins[stranger] = self.origin_of(peer)
        self._since.setdefault(origin, {})[stranger] = self._seconds()

    def discard(self, stranger: T) -> None:
        """Free the place of a connection that has made a call, or is gone."""
        origin = self._origins.pop(stranger, None)
        if origin is not None:
            del self._since[origin][stranger]
            if not self._since[origin]:
                del self._since[origin]

    def origin_of(self, peer: Any) -> str:
        """
        Return the origin of a peer: see above.

        VMs of one network are apart, and one of them can have many addresses.
        """
        if getattr(peer, "host", None) is None:
            return "a socket file"
        address = address_of(peer)
        if (vm := self._vm_at(address)) is not None:
            return vm.vm_cid
        if isinstance(address, IPv6Address) and not address.is_loopback:
            return str(ip_network((address, IPV6_PREFIX), strict=False))
        return str(address)
