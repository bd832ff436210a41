"""The addresses of one subnet: who has which, and which is free."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.networks.model import Address, Holding, IPNetwork, Subnet
from runc_cpi.daemon.networks.owned_blocks import OwnedBlocks
from runc_cpi.errors import AddressUnavailable


class AddressPool:
    """
    Hands out the addresses of one subnet.  It is in memory alone: the records of VMs
    say who has which after a restart.

    @ivar subnet: the subnet.
    """

    def __init__(self, subnet: Subnet) -> None:
        self.subnet = subnet
        self._range = subnet.dynamic or _hosts_of(subnet)
        self._owners: dict[Address, str] = {}
        self._blocks = OwnedBlocks()
        # No dynamic address above this is free, so a full subnet is not searched each time.
        self._highest = int(self._range.last)

    def acquire(self, owner: str, but: Collection[Address]) -> Address:
        """
        Give C{owner} the highest free address.

        The director fills manual networks from the low end, and does not know what
        dynamic ones have.

        @param but: addresses that it must not get.
        @raise AddressUnavailable: if none is left.
        """
        for address in self._free():
            if address not in but:
                self._owners[address] = owner
                return address
        raise AddressUnavailable(f"no address is left in {self._where()}")

    def _free(self) -> Iterator[Address]:
        """Return what is free, the highest address first."""
        first, number = int(self._range.first), self._highest
        self._highest = first - 1
        while number >= first:
            address = self._range.first + (number - first)
            if address in self._owners:
                number -= 1
                continue
            passed_over = self._reserved_with(address) or self._block_with(address)
            if passed_over is not None:
                number = int(passed_over.first) - 1
                continue
            if self._meaning(address) is None:
                self._highest = max(self._highest, number)
                yield address
            number -= 1

    def _reserved_with(self, address: Address) -> AddressRange | None:
        return next((found for found in self.subnet.reserved if address in found), None)

    def _block_with(self, address: Address) -> AddressRange | None:
        block = self._blocks.around(address)
        return None if block is None else AddressRange(first=block[0], last=block[-1])

    def _where(self) -> str:
        dynamic = self.subnet.dynamic
        return f"{dynamic} of {self.subnet.cidr}" if dynamic else str(self.subnet.cidr)

    def claim(self, holding: Holding, owner: str, *, recorded: bool) -> None:
        """
        Give C{owner} this very address of the subnet, or block of them.

        It may have it already, or an address of its own block.

        @param recorded: whether it had that before, which may be reserved since.
        @raise AddressUnavailable: saying why not.  It has a block that was recorded all
            the same, unless another VM has some of it.
        """
        if isinstance(holding, Address):
            self._claim_address(holding, owner, recorded=recorded)
        else:
            self._claim_block(holding, owner, recorded=recorded)

    def _claim_address(self, address: Address, owner: str, *, recorded: bool) -> None:
        obstacle = self._meaning(address)
        holder = self.owner(address) or owner
        if obstacle is None and holder != owner:
            obstacle = f"is in use by {holder}"
        if obstacle is None and not recorded and self._reserved_with(address) is not None:
            obstacle = f"is reserved in {self.subnet.cidr} by the configuration"
        if obstacle is not None:
            raise AddressUnavailable(f"address {address} {obstacle}")
        self._owners[address] = owner

    def _claim_block(self, block: IPNetwork, owner: str, *, recorded: bool) -> None:
        misplaced, taken = self._misplaced(block), self._held_by_others(block, owner)
        if recorded:
            why = taken or misplaced
        else:
            why = misplaced or taken or self._kept_back(block)
        if why is None or (recorded and taken is None):
            self._blocks.put(block, owner)
        if why is not None:
            raise AddressUnavailable(f"block {block} {why}")

    def _held_by_others(self, block: IPNetwork, owner: str) -> str | None:
        """Return what another VM has of a block, or L{None}."""
        for other, holder in self._blocks.overlapping(block):
            if holder != owner:
                return f"overlaps with {other}, which is in use by {holder}"
        is_small = block.num_addresses < len(self._owners)
        for held in block if is_small else self._owners:
            if held in block and (holder := self._owners.get(held, owner)) != owner:
                return f"has {held}, which is in use by {holder}"
        return None

    def _misplaced(self, block: IPNetwork) -> str | None:
        """Return why no VM can get a block, wherever it lies in the subnet, or L{None}."""
        cidr = self.subnet.cidr
        if block[0] not in cidr or block[-1] not in cidr:
            return f"is not within {cidr}, which has {block.network_address}"
        for address in (self.subnet.gateway, cidr[0], cidr[-1]):
            if address in block and (meaning := self._meaning(address)) is not None:
                return f"has {address}, which {meaning}"
        return None

    def _kept_back(self, block: IPNetwork) -> str | None:
        """Return what the configuration reserves of a block, or L{None}."""
        for kept in self.subnet.reserved:
            if kept.overlaps(block):
                where = f"is reserved in {self.subnet.cidr} by the configuration"
                return f"overlaps with {kept}, which {where}"
        return None

    def _meaning(self, address: Address) -> str | None:
        """Return what an address is that no VM can ever have, or L{None}."""
        cidr = self.subnet.cidr
        if address == self.subnet.gateway:
            return f"is the gateway of the VM network {cidr}"
        if address == cidr.broadcast_address and cidr.version == 4:
            return f"is the broadcast address of {cidr}"
        if address == cidr.network_address:
            return f"is the network address of {cidr}"
        return None

    def release(self, owner: str) -> None:
        """Take back all that C{owner} has, if anything."""
        freed = [address for address, held in self._owners.items() if held == owner]
        for address in freed:
            del self._owners[address]
            if address in self._range:
                self._highest = max(self._highest, int(address))
        for block in self._blocks.release(owner):
            last = min(int(block[-1]), int(self._range.last))
            self._highest = max(self._highest, last)

    def owner(self, address: Address) -> str | None:
        """Return who has an address, alone or in a block, or L{None} if nobody does."""
        if address in self._owners:
            return self._owners[address]
        if address == self.subnet.gateway:
            return None  # the host itself, though a block may have been there before
        return self._blocks.owner(address)

    @property
    def holders(self) -> dict[Holding, str]:
        """Who has which address, and which block."""
        found: list[tuple[Holding, str]] = [*self._owners.items(), *self._blocks.items()]
        return dict(found)

    @property
    def owners(self) -> set[str]:
        """Who has something."""
        return {*self._owners.values(), *self._blocks.owners()}

    @property
    def is_empty(self) -> bool:
        """Whether nobody has an address."""
        return not self._owners and not self._blocks.items()


def _hosts_of(subnet: Subnet) -> AddressRange:
    first, last = subnet.cidr[1], subnet.cidr[-1]
    # The last address of IPv4 is for broadcasts, which IPv6 does not have.
    return AddressRange(first=first, last=last - 1 if subnet.version == 4 else last)
