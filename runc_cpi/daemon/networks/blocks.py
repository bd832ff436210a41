"""Blocks of addresses that VMs have alone, and the VM that each is routed to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runc_cpi.daemon.networks.model import Address, IPNetwork, Nic, Subnet


@dataclass(frozen=True, kw_only=True)
class RoutedBlock:
    """
    A block of addresses that the host sends to one VM.

    @ivar block: the addresses.
    @ivar address: the VM's own address, which is the next hop.
    @ivar bridge: the host's interface that the VM is connected to.
    """

    block: IPNetwork
    address: Address
    bridge: str


def routed_blocks(nics: Iterable[Nic]) -> frozenset[RoutedBlock]:
    """Return the blocks of a VM: each is behind the first address of its interface."""
    found = set()
    for nic in nics:
        for block in nic.blocks:
            hops = [a.ip for a in nic.addresses if a.version == block.version]
            if hops:
                found.add(RoutedBlock(block=block, address=hops[0], bridge=nic.bridge))
    return frozenset(found)


def told_block(
    block: IPNetwork, addresses: Iterable[Address], subnet: Subnet
) -> RoutedBlock:
    """
    Return a block of a VM of which no more is known than what its agent is told.

    @param addresses: what the VM has beside its blocks, perhaps in other subnets.
    @param subnet: the one that the block is in.
    """
    hops = [address for address in addresses if address in subnet.cidr]
    hop = hops[0] if hops else block[0]
    return RoutedBlock(block=block, address=hop, bridge=subnet.bridge)
