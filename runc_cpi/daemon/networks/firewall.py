"""What VMs may send: rules that follow from their interfaces alone."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from runc_cpi.daemon.networks.model import Nic


@dataclass(frozen=True, kw_only=True)
class AllowedSources:
    """
    From what a VM may send by one of its interfaces; all else is dropped.

    @ivar mac: the hardware address of the interface.
    @ivar addresses: its IPv4 addresses.  A VM may send no IPv6.
    @ivar blocks: networks of IPv4 that the VM has whole.
    """

    mac: str
    addresses: tuple[IPv4Address, ...]
    blocks: tuple[IPv4Network, ...] = ()


def allowed_sources(nic: Nic) -> AllowedSources:
    """Return from what a VM may send by an interface: from its addresses and blocks."""
    return AllowedSources(
        mac=nic.mac,
        addresses=tuple(
            address.ip for address in nic.addresses if isinstance(address, IPv4Interface)
        ),
        blocks=tuple(block for block in nic.blocks if isinstance(block, IPv4Network)),
    )
