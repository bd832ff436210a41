"""The addresses of all subnets of this host, a pool for each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from twisted.logger import Logger
from zope.interface import implementer

from runc_cpi.daemon.networks.address_pool import AddressPool
from runc_cpi.daemon.networks.interfaces import IAddressPools
from runc_cpi.daemon.networks.model import (
    Address,
    Holding,
    InterfaceAddress,
    IPNetwork,
    Subnet,
    described,
)
from runc_cpi.errors import AddressUnavailable


@implementer(IAddressPools)
class AddressPools:
    """
    The address pools of this host.

    A subnet that is in no configuration has a pool from L{open} until nobody has an
    address of it, or from L{keep} until L{let_go}.

    @param configured: the subnets that are always there, at least one.
    @param nat: whether VMs leave other ones of IPv4 by the host's addresses.
    """

    log = Logger()

    def __init__(self, configured: Sequence[Subnet], *, nat: bool = True) -> None:
        self.configured, self._nat = tuple(configured), nat
        self._pools = {subnet.cidr: AddressPool(subnet) for subnet in self.configured}
        self._kept: list[Subnet] = []
        # What is not within a subnet, of VMs that have it all the same.
        self._protected: dict[Holding, str] = {}

    @property
    def subnets(self) -> tuple[Subnet, ...]:
        """All subnets; the configured ones come first."""
        return tuple(pool.subnet for pool in self._pools.values())

    @property
    def lasting(self) -> tuple[Subnet, ...]:
        """The subnets that are there without a VM: those configured, and those kept."""
        return (*self.configured, *self._kept)

    def described(self, gateway: InterfaceAddress, bridge: str | None = None) -> Subnet:
        """
        Return the subnet that VMs describe by the host's address in it.

        @param bridge: that of the subnet that it shares one with, if it does.
        """
        return described(gateway, nat=self._nat, bridge=bridge)

    def open(self, subnet: Subnet) -> None:
        """
        Have a pool for one more subnet, if it has none yet.

        @raise AddressUnavailable: if it overlaps with another subnet.
        """
        for other in self.subnets:
            if subnet.interface == other.interface:
                return
            if subnet.cidr.overlaps(other.cidr):
                raise AddressUnavailable(
                    f"network {subnet.cidr} with the gateway {subnet.gateway} overlaps "
                    f"with {other.cidr} of this host, whose gateway is {other.gateway}"
                )
        pool = AddressPool(subnet)
        for holding, owner in self._protected.items():
            if _overlap(holding, subnet):
                try:
                    pool.claim(holding, owner, recorded=True)
                except AddressUnavailable as error:
                    self.log.warn("{owner}: {why}", owner=owner, why=str(error))
        self._pools[subnet.cidr] = pool

    def keep(self, subnet: Subnet) -> None:
        """
        Have a pool for one more subnet until L{let_go}, also if VMs have described it.

        @raise AddressUnavailable: if it overlaps with another subnet.
        """
        for other in self.lasting:
            if subnet.cidr == other.cidr:
                raise AddressUnavailable(
                    f"network {subnet.cidr} is the network {other.name!r} of this host"
                )
        self.open(subnet)
        self._pools[subnet.cidr].subnet = subnet
        self._kept.append(subnet)

    def let_go(self, subnet: Subnet) -> None:
        """
        Have a pool for a subnet only as long as somebody has an address of it.

        One that is not kept is left as it is.
        """
        if subnet in self._kept:
            self._kept.remove(subnet)
            self._pools[subnet.cidr].subnet = self.described(subnet.interface)
            self._drop_if_empty(subnet.cidr)

    def _drop_if_empty(self, cidr: IPNetwork) -> None:
        pool = self._pools[cidr]
        if pool.is_empty and pool.subnet not in self.lasting:
            del self._pools[cidr]

    def holders(self, subnet: Subnet) -> Mapping[Holding, str]:
        """Return who has what of a subnet; nothing if there is no such subnet."""
        pool = self._pools.get(subnet.cidr)
        return {} if pool is None or pool.subnet != subnet else pool.holders

    def sharing(self, bridge: str) -> set[str]:
        """Return who has something of a subnet that has this bridge."""
        there = [pool for pool in self._pools.values() if pool.subnet.bridge == bridge]
        return {owner for pool in there for owner in pool.owners}

    async def acquire(
        self, subnet: Subnet, owner: str, but: Collection[Address] = ()
    ) -> Address:
        """
        Give C{owner} the highest free address of a subnet.

        @param but: addresses that it must not get.
        @raise AddressUnavailable: if none is left.
        """
        return self._pools[subnet.cidr].acquire(owner, but)

    async def claim(self, holding: Holding, owner: str, *, recorded: bool = False) -> None:
        """
        Give C{owner} this very address, or this block of them; it may have it already.

        @param recorded: whether it had that before, which may be reserved since.
        @raise AddressUnavailable: if it is in no subnet, or cannot be had there.  What was
            recorded is kept for it all the same, unless another VM has some of it.
        """
        found = [pool for pool in self._pools.values() if _overlap(holding, pool.subnet)]
        if recorded and not any(_is_within(holding, pool.subnet) for pool in found):
            self.protect(holding, owner)
        refusals = []
        for pool in found:
            try:
                pool.claim(holding, owner, recorded=recorded)
            except AddressUnavailable as error:
                refusals.append(error)
        if refusals:
            raise refusals[0]
        if not found:
            networks = ", ".join(map(str, self._pools))
            raise AddressUnavailable(
                f"address {_first_of(holding)} is outside of {networks}, the networks of "
                "this host's VMs"
            )

    def protect(self, holding: Holding, owner: str) -> None:
        """Have nobody but C{owner} get what is in subnets that are not known yet."""
        self._protected[holding] = owner

    async def release(self, owner: str) -> None:
        """Take back all that C{owner} has, if anything."""
        self._protected = {h: held for h, held in self._protected.items() if held != owner}
        for cidr, pool in list(self._pools.items()):
            pool.release(owner)
            self._drop_if_empty(cidr)

    def owner(self, address: Address) -> str | None:
        """Return who has an address, or L{None} if nobody does."""
        for pool in self._pools.values():
            if (owner := pool.owner(address)) is not None:
                return owner
        return None


def _first_of(holding: Holding) -> Address:
    return holding if isinstance(holding, Address) else holding.network_address


def _overlap(holding: Holding, subnet: Subnet) -> bool:
    if isinstance(holding, Address):
        return holding in subnet.cidr
    return holding.overlaps(subnet.cidr)


def _is_within(holding: Holding, subnet: Subnet) -> bool:
    if isinstance(holding, Address):
        return holding in subnet.cidr
    return holding[0] in subnet.cidr and holding[-1] in subnet.cidr
