"""The addresses of C{vip} networks in the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Any

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.config.addresses import address_range
from runc_cpi.daemon.config.checks import ConfigError, quoted
from runc_cpi.daemon.config.networks import NetworkConfig
from runc_cpi.daemon.config.peers import OverlayConfig, PeerConfig

IPV4 = IPv4Network("0.0.0.0/0")
# This host, loopback, multicast and what is above (RFC 6890).
NOT_ONE_HOSTS = tuple(
    IPv4Network(cidr) for cidr in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3")
)


def vip_ranges(key: str, value: Any) -> tuple[AddressRange, ...]:
    """Check for a list of addresses that others can reach the host at."""
    if not isinstance(value, list):
        raise ConfigError(f"{key}: {quoted(value)} must be a list of addresses")
    return tuple(_vip_range(key, item) for item in value)


def _vip_range(key: str, value: Any) -> AddressRange:
    addresses = address_range(key, IPV4, value)
    for reserved in NOT_ONE_HOSTS:
        if addresses.overlaps(reserved):
            raise ConfigError(
                f"{key}: {quoted(value)} is, or has a part, in {reserved}, where no host "
                "has an address of its own"
            )
    return addresses


def check_vips(
    key: str,
    vips: Sequence[AddressRange],
    networks: Sequence[NetworkConfig],
    taken: IPv4Address | IPv6Address | None,
    peers: Sequence[PeerConfig] = (),
    overlay: OverlayConfig | None = None,
) -> None:
    """
    Check that addresses are in no network of VMs, and not where the daemon takes calls or
    where other hosts are.

    @param taken: where the daemon takes calls, or L{None}.
    @raise ConfigError: naming what overlaps.
    """
    for addresses in vips:
        own = None if overlay is None else overlay.address
        if own is not None and own in addresses:
            raise ConfigError(f"{key}: {own} of {addresses} is overlay.address")
        for peer in peers:
            where = f"{key}: {addresses} overlaps with"
            if peer.address in addresses:
                raise ConfigError(f"{where} {peer.address}, the address of a peer")
            for cidr in peer.cidrs:
                if addresses.overlaps(cidr):
                    raise ConfigError(f"{where} {cidr}, a network of peer {peer.address}")
        if isinstance(taken, IPv4Address) and taken in addresses:
            raise ConfigError(
                f"{key}: {taken} of {addresses} is the address where the daemon takes calls"
            )
        for network in networks:
            if addresses.overlaps(network.cidr):
                raise ConfigError(
                    f"{key}: {addresses} overlaps with {network.cidr} of {network.name!r}; "
                    "vips in it are those that its reserved in networks has"
                )
