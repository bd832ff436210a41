"""The addresses of one subnet: who has which, and which is free."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.networks.model import Address, Subnet
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
            reserved = self._reserved_with(address)
            if reserved is not None:
                number = int(reserved.first) - 1
                continue
            if address not in self._owners and self._meaning(address) is None:
                self._highest = max(self._highest, number)
                yield address
            number -= 1

    def _reserved_with(self, address: Address) -> AddressRange | None:
        return next((found for found in self.subnet.reserved if address in found), None)

    def _where(self) -> str:
        dynamic = self.subnet.dynamic
        return f"{dynamic} of {self.subnet.cidr}" if dynamic else str(self.subnet.cidr)

    def claim(self, address: Address, owner: str, *, recorded: bool) -> None:
        """
        Give C{owner} this very address of the subnet; it may have it already.

        @param recorded: whether it had the address before, which may be reserved since.
        @raise AddressUnavailable: saying why not.
        """
        obstacle = self._meaning(address)
        holder = self._owners.get(address, owner)
        if obstacle is None and holder != owner:
            obstacle = f"is in use by {holder}"
        if obstacle is None and not recorded and self._reserved_with(address) is not None:
            obstacle = f"is reserved in {self.subnet.cidr} by the configuration"
        if obstacle is not None:
            raise AddressUnavailable(f"address {address} {obstacle}")
        self._owners[address] = owner

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

    def owner(self, address: Address) -> str | None:
        """Return who has an address, or L{None} if nobody does."""
        return self._owners.get(address)

    @property
    def holders(self) -> dict[Address, str]:
        """Who has which address."""
        return dict(self._owners)

    @property
    def is_empty(self) -> bool:
        """Whether nobody has an address."""
        return not self._owners


def _hosts_of(subnet: Subnet) -> AddressRange:
    first, last = subnet.cidr[1], subnet.cidr[-1]
    # The last address of IPv4 is for broadcasts, which IPv6 does not have.
    return AddressRange(first=first, last=last - 1 if subnet.version == 4 else last)
