"""The addresses of the VM network: who has which, and which is free."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from runc_cpi.daemon.networks.interfaces import IAddressPool
from runc_cpi.errors import AddressUnavailable


@implementer(IAddressPool)
class AddressPool:
    """
    An allocator over one network, in memory: the VM records are what lasts.

    @param network: the VM network.
    @param gateway: the host's own address in it, never handed out.
    """

    def __init__(self, network: IPv4Network, gateway: IPv4Address) -> None:
        self._network, self._gateway = network, gateway
        self._owners: dict[IPv4Address, str] = {}
        # Nothing below this is free, so a full network is not searched from its start.
        self._lowest = network.network_address + 1

    def acquire(self, owner: str) -> Deferred[IPv4Address]:
        """
        Give C{owner} the lowest free address.

        @return: fires with it, or fails with L{AddressUnavailable} if none is left.
        """
        address = self._lowest
        while address in self._owners or address == self._gateway:
            address += 1
        self._lowest = address
        if address >= self._network.broadcast_address:
            return fail(AddressUnavailable(f"no address is left in {self._network}"))
        return self._give(address, owner)

    def claim(self, address: IPv4Address, owner: str) -> Deferred[IPv4Address]:
        """
        Give C{owner} this very address; having it already is fine.

        @return: fires with it, or fails with L{AddressUnavailable}, saying why.
        """
        holder = self._owners.get(address, owner)
        if address not in self._network:
            reason = f"is outside of {self._network}, the network of this host's VMs"
        elif address == self._gateway:
            reason = "is the gateway of the VM network"
        elif address == self._network.broadcast_address:
            reason = f"is the broadcast address of {self._network}"
        elif address == self._network.network_address:
            reason = f"is the network address of {self._network}"
        elif holder != owner:
            reason = f"is in use by {holder}"
        else:
            return self._give(address, owner)
        return fail(AddressUnavailable(f"address {address} {reason}"))

    def release(self, owner: str) -> Deferred[None]:
        """
        Take back all that C{owner} has, if anything.

        @return: fires when it is done.
        """
        freed = [address for address, held in self._owners.items() if held == owner]
        for address in freed:
            del self._owners[address]
        self._lowest = min([self._lowest, *freed])
        return succeed(None)

    def owner(self, address: IPv4Address) -> str | None:
        """Say who has an address, or L{None} if nobody does."""
        return self._owners.get(address)

    def _give(self, address: IPv4Address, owner: str) -> Deferred[IPv4Address]:
        self._owners[address] = owner
        return succeed(address)
