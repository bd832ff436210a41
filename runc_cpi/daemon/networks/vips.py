"""Addresses of the host that VMs have by C{vip} networks: which, and who has which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.networks.interfaces import IAddressPools
from runc_cpi.daemon.networks.model import Address, subnet_of
from runc_cpi.errors import AddressUnavailable


@dataclass(frozen=True, kw_only=True)
class VipPolicy:
    """
    What the operator decided about C{vip} networks.

    @ivar allowed: which addresses they may have that are in no subnet of VMs.
    @ivar taken: where the daemon itself takes calls, which no VM can have; or L{None}.
    """

    allowed: Sequence[AddressRange] = ()
    taken: Address | None = None


class Vips:
    """
    The addresses of C{vip} networks.  A VM has each alone, with all its ports.

    They are in memory alone: the records of VMs say who has which after a restart.
    """

    def __init__(self, pools: IAddressPools, policy: VipPolicy) -> None:
        self._pools, self._policy = pools, policy
        self._holders: dict[Address, str] = {}

    def hold(self, address: Address, vm_cid: str) -> None:
        """
        Give a VM an address; it may have it already.

        @raise AddressUnavailable: naming who has it, or what to configure.
        """
        self._check(address)
        holder = self._holders.setdefault(address, vm_cid)
        if holder != vm_cid:
            raise AddressUnavailable(f"vip {address} is in use by {holder}")

    def holder(self, address: Address) -> str | None:
        """Return who has an address, or L{None} if nobody does."""
        return self._holders.get(address)

    def let_go(self, vm_cid: str) -> None:
        """Take back all that a VM has, if anything."""
        held = [address for address, holder in self._holders.items() if holder == vm_cid]
        for address in held:
            del self._holders[address]

    def _check(self, address: Address) -> None:
        if address == self._policy.taken:
            raise AddressUnavailable(f"vip {address}: the daemon takes its calls there")
        subnet = subnet_of(address, self._pools.subnets)
        if subnet is None:
            if not _is_in(address, self._policy.allowed):
                allowed = ", ".join(map(str, self._policy.allowed)) or "empty"
                raise AddressUnavailable(
                    f"vip {address} is none of vip_addresses of the daemon, which is "
                    f"{allowed}, and reserved in no network of it"
                )
            return
        ends = subnet.cidr.network_address, subnet.cidr.broadcast_address
        if address == subnet.gateway or address in ends:
            meaning = "gateway" if address == subnet.gateway else "network or broadcast"
            raise AddressUnavailable(
                f"vip {address} is the {meaning} address of {subnet.cidr}"
            )
        if not _is_in(address, subnet.reserved):
            raise AddressUnavailable(
                f"vip {address} is in {subnet.cidr}, a network of VMs; only what is in "
                "reserved of a configured network can be a vip there"
            )


def _is_in(address: Address, ranges: Sequence[AddressRange]) -> bool:
    return any(address in found for found in ranges)
