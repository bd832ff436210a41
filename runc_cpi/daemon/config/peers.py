"""Other hosts with VMs in the configuration, and the overlay that leads there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from typing import Any

from runc_cpi.daemon.config.addresses import vm_network_of_ipv4
from runc_cpi.daemon.config.checks import (
    ConfigError,
    choice,
    quoted,
    text,
    whole_number,
)
from runc_cpi.daemon.config.keys import Section, key, required
from runc_cpi.daemon.config.networks import NetworkConfig

KINDS = ("none", "vxlan")
HIGHEST_ID = (1 << 24) - 1  # RFC 7348
DEFAULT_ID = 7667
DEFAULT_PORT = 4789  # IANA's for VXLAN
HIGHEST_PORT = 65535


def host_address(key: str, value: str) -> IPv4Address:
    """Check for an IPv4 address that a host can have for others."""
    try:
        address = IPv4Address(value)
    except ValueError:
        raise ConfigError(f"{key}: {value!r} must be an IPv4 address") from None
    if (
        address.is_loopback
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    ):
        raise ConfigError(f"{key}: {value!r} is no address that other hosts can reach")
    return address


def _cidrs(key: str, value: Any) -> tuple[IPv4Network, ...]:
    """Check for one network or several."""
    names = [value] if isinstance(value, str) else value
    accepted = "an IPv4 network such as 10.1.0.0/16, or a list of such"
    if not isinstance(names, list) or not names:
        raise ConfigError(f"{key}: {quoted(value)} must be {accepted}")
    return tuple(text(accepted, vm_network_of_ipv4)(key, name) for name in names)


@dataclass(frozen=True, kw_only=True)
class PeerConfig(Section):
    """Another host with VMs."""

    address: IPv4Address = required(
        text("an IPv4 address", host_address),
        "the other host's. Without `overlay` it must be in a network that this host has an "
        "address in",
    )
    cidrs: tuple[IPv4Network, ...] = required(
        _cidrs,
        "the network of its VMs, or a list of all their networks",
        name="cidr",
    )


@dataclass(frozen=True, kw_only=True)
class OverlayConfig(Section):
    """How packets of VMs get from host to host."""

    kind: str = key(
        "none",
        choice(*KINDS),
        "`none`: plain routes, for hosts in one network. `vxlan`: datagrams between the "
        "hosts, wherever they are",
    )
    id: int = key(
        DEFAULT_ID,
        whole_number(1, HIGHEST_ID),
        "the VXLAN network identifier: the same on all hosts, and another one for each "
        "daemon of one host",
    )
    port: int = key(
        DEFAULT_PORT,
        whole_number(1, HIGHEST_PORT),
        "the UDP port of VXLAN, the same on all hosts",
    )
    address: IPv4Address | None = key(
        None,
        text("an IPv4 address", host_address),
        "the address of this host that its peers have for it",
        shown="that on the way to the first peer",
    )


def overlay_section(key: str, raw: Any) -> OverlayConfig:
    """Check C{overlay}: keys, or the kind alone."""
    if isinstance(raw, str):
        return OverlayConfig(kind=choice(*KINDS)(key, raw))
    return OverlayConfig.parse_section(key, raw)


def peer_list(key: str, value: Any) -> tuple[PeerConfig, ...]:
    """Check for a list of peers that can be side by side, or nothing."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ConfigError(f"{key}: {quoted(value)} must be a list of peers")
    peers = tuple(
        PeerConfig.parse_section(f"{key}[{index}]", item)
        for index, item in enumerate(value)
    )
    for (one, peer), (two, other) in combinations(enumerate(peers), 2):
        if peer.address == other.address:
            raise ConfigError(
                f"{key}[{two}].address: {peer.address} is that of {key}[{one}], too"
            )
    _check_networks(key, peers)
    return peers


def _check_networks(key: str, peers: Sequence[PeerConfig]) -> None:
    named = [(f"{key}[{n}].cidr", c) for n, peer in enumerate(peers) for c in peer.cidrs]
    for (where, cidr), (other_place, other) in combinations(named, 2):
        if cidr.overlaps(other):
            raise ConfigError(
                f"{other_place}: {other} overlaps with {cidr} of {where}; the VMs of each "
                "host need networks of their own"
            )
    for index, peer in enumerate(peers):
        for where, cidr in named:
            if peer.address in cidr:
                raise ConfigError(
                    f"{key}[{index}].address: {peer.address} is in {cidr} of {where}; it "
                    "must be the address of the host, not one of VMs"
                )


def check_beside_networks(
    peers: Sequence[PeerConfig], networks: Sequence[NetworkConfig]
) -> None:
    """
    Check that peers have other networks than this host.

    @raise ConfigError: naming the key, and what it overlaps with.
    """
    for index, peer in enumerate(peers):
        where = f"peers[{index}]"
        for network in networks:
            own = f"{network.cidr} of {network.name!r}, a network of this host"
            for cidr in peer.cidrs:
                if cidr.overlaps(network.cidr):
                    raise ConfigError(
                        f"{where}.cidr: {cidr} overlaps with {own}; the VMs of each host "
                        "need networks of their own"
                    )
            if peer.address in network.cidr:
                raise ConfigError(f"{where}.address: {peer.address} is in {own}")
