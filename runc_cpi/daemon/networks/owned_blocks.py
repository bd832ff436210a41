"""Blocks of addresses, and who has which."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, ValuesView
from ipaddress import ip_network

from runc_cpi.daemon.networks.model import Address, IPNetwork


class OwnedBlocks:
    """
    Blocks that are disjoint, but for those of one owner.

    What has an address is looked for once for each size that blocks have, not in each of
    them: a pool asks for each of its addresses.
    """

    def __init__(self) -> None:
        self._owners: dict[IPNetwork, str] = {}
        self._prefixes: set[int] = set()

    def put(self, block: IPNetwork, owner: str) -> None:
        """Note that C{owner} has a block."""
        self._owners[block] = owner
        self._prefixes.add(block.prefixlen)

    def release(self, owner: str) -> list[IPNetwork]:
        """Take back all that C{owner} has, and return it."""
        freed = [block for block, held in self._owners.items() if held == owner]
        for block in freed:
            del self._owners[block]
        if freed:
            self._prefixes = {block.prefixlen for block in self._owners}
        return freed

    def items(self) -> ItemsView[IPNetwork, str]:
        """Return all blocks, and who has each."""
        return self._owners.items()

    def owners(self) -> ValuesView[str]:
        """Return who has each block."""
        return self._owners.values()

    def around(self, address: Address) -> IPNetwork | None:
        """Return the block that has an address, or L{None}."""
        for prefix in self._prefixes:
            block = ip_network((address, prefix), strict=False)
            if block in self._owners:
                return block
        return None

    def overlapping(self, block: IPNetwork) -> Iterator[tuple[IPNetwork, str]]:
        """Return the blocks that have an address of this one, and who has each."""
        for prefix in self._prefixes:
            if prefix <= block.prefixlen:
                around = block.supernet(new_prefix=prefix)
                if around in self._owners:
                    yield around, self._owners[around]
        if max(self._prefixes, default=0) > block.prefixlen:
            for other, owner in self._owners.items():
                if other.prefixlen > block.prefixlen and other.overlaps(block):
                    yield other, owner

    def owner(self, address: Address) -> str | None:
        """Return who has the block with an address, or L{None} if nobody does."""
        block = self.around(address)
        return None if block is None else self._owners[block]
