"""What VMs may send: rules that follow from their interfaces alone."""

from __future__ import annotations

from dataclasses import dataclass

from runc_cpi.daemon.networks.model import Address, IPNetwork, Nic, link_local


@dataclass(frozen=True, kw_only=True)
class AllowedSources:
    """
    From what a VM may send by one of its interfaces; all else is dropped.

    @ivar mac: the hardware address of the interface.
    @ivar addresses: its addresses.  Without one of IPv6 a VM may send no IPv6.
    @ivar blocks: networks that the VM has whole.
    """

    mac: str
    addresses: tuple[Address, ...]
    blocks: tuple[IPNetwork, ...] = ()


def allowed_sources(nic: Nic) -> AllowedSources:
    """
    Return from what a VM may send by an interface: from its addresses and blocks.

    With IPv6 the kernel has one more for the link, from which it asks for others.
    """
    addresses: list[Address] = [address.ip for address in nic.addresses]
    if any(address.version == 6 for address in addresses):
        addresses.append(link_local(nic.mac))
    return AllowedSources(mac=nic.mac, addresses=tuple(addresses), blocks=nic.blocks)
