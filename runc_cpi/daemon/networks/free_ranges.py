"""Finds addresses for a network that may be anywhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Network


def first_free(
    allowed: Iterable[IPv4Network], prefixlen: int, taken: Collection[IPv4Network]
) -> IPv4Network | None:
    """
    Return the first network of a size that overlaps with no other, or L{None}.

    @param allowed: where to look, in this order.
    @param prefixlen: its size, as bits of a netmask.
    @param taken: all other networks.
    """
    for block in allowed:
        start = block.network_address
        while True:
            candidate = IPv4Network((start, prefixlen), strict=False)
            if not candidate.subnet_of(block):
                break
            ends = [other for other in taken if other.overlaps(candidate)]
            if not ends:
                return candidate
            last = max(candidate.broadcast_address, *(o.broadcast_address for o in ends))
            if last >= block.broadcast_address:
                break
            start = last + 1
    return None
