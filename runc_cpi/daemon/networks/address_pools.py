"""The addresses of all subnets of this host, a pool for each."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from zope.interface import implementer

from runc_cpi.daemon.networks.address_pool import AddressPool
from runc_cpi.daemon.networks.interfaces import IAddressPools
from runc_cpi.daemon.networks.model import Address, Subnet
from runc_cpi.errors import AddressUnavailable


@implementer(IAddressPools)
class AddressPools:
    """
    The address pools of this host.

    @ivar subnets: the subnets, at least one; dynamic networks are in the first.
    """

    def __init__(self, subnets: Sequence[Subnet]) -> None:
        self.subnets = subnets
        self._pools = {
            subnet.cidr: AddressPool(subnet.cidr, subnet.gateway) for subnet in subnets
        }

    async def acquire(self, subnet: Subnet, owner: str) -> IPv4Address:
        """
        Give C{owner} the lowest free address of a subnet.

        @raise AddressUnavailable: if none is left.
        """
        return self._pools[subnet.cidr].acquire(owner)

    async def claim(self, address: Address, owner: str) -> None:
        """
        Give C{owner} this very address; it may have it already.

        @raise AddressUnavailable: if it is in no subnet, or cannot be had there.
        """
        if isinstance(address, IPv4Address):
            for cidr, pool in self._pools.items():
                if address in cidr:
                    pool.claim(address, owner)
                    return
        networks = ", ".join(str(cidr) for cidr in self._pools)
        raise AddressUnavailable(
            f"address {address} is outside of {networks}, the network of this host's VMs"
        )

    async def release(self, owner: str) -> None:
        """Take back all that C{owner} has, if anything."""
        for pool in self._pools.values():
            pool.release(owner)

    def owner(self, address: Address) -> str | None:
        """Return who has an address, or L{None} if nobody does."""
        if isinstance(address, IPv4Address):
            for pool in self._pools.values():
                if (owner := pool.owner(address)) is not None:
                    return owner
        return None
