"""The addresses of one subnet: who has which, and which is free."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from runc_cpi.errors import AddressUnavailable


class AddressPool:
    """
    Hands out the addresses of one subnet.  It is in memory alone: the records of VMs
    say who has which after a restart.

    @param network: the subnet.
    @param gateway: the host's own address in it, which no VM gets.
    """

    def __init__(self, network: IPv4Network, gateway: IPv4Address) -> None:
        self._network, self._gateway = network, gateway
        self._owners: dict[IPv4Address, str] = {}
        # No address below this is free, so a full subnet is not searched from its start.
        self._lowest = network.network_address + 1

    def acquire(self, owner: str) -> IPv4Address:
        """
        Give C{owner} the lowest free address.

        @raise AddressUnavailable: if none is left.
        """
        address = self._lowest
        while address in self._owners or address == self._gateway:
            address += 1
        self._lowest = address
        if address >= self._network.broadcast_address:
            raise AddressUnavailable(f"no address is left in {self._network}")
        self._owners[address] = owner
        return address

    def claim(self, address: IPv4Address, owner: str) -> None:
        """
        Give C{owner} this very address of the subnet; it may have it already.

        @raise AddressUnavailable: saying why not.
        """
        holder = self._owners.get(address, owner)
        if address == self._gateway:
            reason = "is the gateway of the VM network"
        elif address == self._network.broadcast_address:
            reason = f"is the broadcast address of {self._network}"
        elif address == self._network.network_address:
            reason = f"is the network address of {self._network}"
        elif holder != owner:
            reason = f"is in use by {holder}"
        else:
            self._owners[address] = owner
            return
        raise AddressUnavailable(f"address {address} {reason}")

    def release(self, owner: str) -> None:
        """Take back all that C{owner} has, if anything."""
        freed = [address for address, held in self._owners.items() if held == owner]
        for address in freed:
            del self._owners[address]
        self._lowest = min([self._lowest, *freed])

    def owner(self, address: IPv4Address) -> str | None:
        """Return who has an address, or L{None} if nobody does."""
        return self._owners.get(address)
