"""A range of IP addresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    summarize_address_range,
)


@dataclass(frozen=True, kw_only=True)
class AddressRange:
    """Addresses of one kind of IP from C{first} to C{last}, which are part of it."""

    first: IPv4Address | IPv6Address
    last: IPv4Address | IPv6Address

    def __contains__(self, address: IPv4Address | IPv6Address) -> bool:
        is_between = int(self.first) <= int(address) <= int(self.last)
        return is_between and address.version == self.first.version

    def overlaps(self, cidr: IPv4Network | IPv6Network) -> bool:
        """Say whether some of the addresses are in a network."""
        is_apart = int(self.first) > int(cidr[-1]) or int(self.last) < int(cidr[0])
        return not is_apart and cidr.version == self.first.version

    def networks(self) -> Iterator[IPv4Network]:
        """Return the networks of IPv4 that these addresses are, and no others."""
        if isinstance(self.first, IPv4Address) and isinstance(self.last, IPv4Address):
            yield from summarize_address_range(self.first, self.last)

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"
