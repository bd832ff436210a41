"""Other hosts with VMs, and how packets of VMs get there and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.networks.model import IPNetwork

# What VXLAN puts around a packet of IPv4 (bytes, RFC 7348): Ethernet, IPv4, UDP, VXLAN.
OVERHEAD = 14 + 20 + 8 + 8


@dataclass(frozen=True, kw_only=True)
class Peer:
    """
    Another host with a daemon.

    @ivar address: the host's.
    @ivar cidrs: the networks of its VMs.
    """

    address: IPv4Address
    cidrs: tuple[IPv4Network, ...]


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """
    What carries packets of VMs between hosts where routers do not know the VMs: VXLAN.

    @ivar interface: the host's interface to it.
    @ivar id: the VXLAN network identifier, the same on all hosts.
    @ivar port: of UDP, the same on all hosts.
    @ivar address: the one by which all peers know this host; L{None} for the one that it
        has on its way to the first of them.
    @ivar vips: addresses that it cannot be, as they are the VMs'.
    """

    interface: str
    id: int
    port: int
    address: IPv4Address | None = None
    vips: tuple[AddressRange, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Peering:
    """
    All peers, and the way to them.

    @ivar overlay: L{None} if plain routes lead there.
    @ivar source: the address that the host itself has for VMs of peers, or L{None} for any.
    """

    peers: tuple[Peer, ...] = ()
    overlay: Overlay | None = None
    source: IPv4Address | None = None

    @property
    def cidrs(self) -> frozenset[IPv4Network]:
        """The networks of all VMs of peers."""
        return frozenset(cidr for peer in self.peers for cidr in peer.cidrs)


NO_PEERS = Peering()


@dataclass(frozen=True, kw_only=True)
class Reached:
    """
    What came of making ways to peers, or to blocks of VMs.

    @ivar changed: whether the host was not as it should be.
    @ivar problems: what cannot be had, and why.
    @ivar lacking: the same of blocks, by block.
    """

    changed: bool
    problems: tuple[str, ...] = ()
    lacking: Mapping[IPNetwork, str] = field(default_factory=dict)


def peer_hardware_address(address: IPv4Address) -> str:
    """
    Return the hardware address that the overlay's interface has on the host with that
    address.  So each host knows those of all others, and none has to ask.
    """
    return "02:76:" + address.packed.hex(":")


def overlap_with_peers(
    peers: Iterable[Peer], cidr: IPv4Network | IPv6Network
) -> str | None:
    """Name the network of a peer's VMs that a network overlaps with, or return L{None}."""
    for peer in peers:
        for other in peer.cidrs:
            if other.overlaps(cidr):
                return f"{other}, a network of the peer {peer.address}"
    return None
