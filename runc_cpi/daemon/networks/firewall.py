"""What VMs may send: rules that follow from their interfaces alone."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface

from runc_cpi.daemon.networks.model import Nic


@dataclass(frozen=True, kw_only=True)
class AllowedSources:
    """
    From what a VM may send by one of its interfaces; all else is dropped.

    @ivar mac: the hardware address of the interface.
    @ivar addresses: its IPv4 addresses.  A VM may send no IPv6.
    """

    mac: str
    addresses: tuple[IPv4Address, ...]


def allowed_sources(nic: Nic) -> AllowedSources:
    """Return from what a VM may send by an interface: from its own addresses."""
    return AllowedSources(
        mac=nic.mac,
        addresses=tuple(
            address.ip for address in nic.addresses if isinstance(address, IPv4Interface)
        ),
    )
