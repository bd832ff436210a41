"""Addresses, networks and interfaces in the configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.config.checks import ConfigError, quoted, texts

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

DEFAULT_ADDRESSES = {"unix": "/run/runc-cpid/cpid.sock", "tcp": "127.0.0.1:9999"}
DEFAULT_CIDR = "10.0.0.0/16"
UNIX_PATH_LIMIT = 107  # bytes (unix(7))
INTERFACE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}")


@dataclass(frozen=True)
class TCPAddress:
    """Where to listen: an IP address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def ip(self) -> IPv4Address | IPv6Address:
        """The IP address."""
        return ip_address(self.host)


@dataclass(frozen=True)
class UnixAddress:
    """Where to listen: a socket file."""

    path: str

    def __str__(self) -> str:
        return self.path

    @property
    def ip(self) -> None:
        """It has no IP address."""
        return None


def listening_address(network_type: str, value: str) -> TCPAddress | UnixAddress:
    """
    Parse C{address}.

    @param network_type: C{unix} or C{tcp}.
    @raise ConfigError: if it is no address of that type.
    """
    if network_type == "tcp":
        return tcp_address("address", value, ", as network_type is tcp")
    if not value.startswith("/") or "\0" in value:
        raise ConfigError(
            f"address: {value!r} must be the absolute path of a socket, as "
            "network_type is unix"
        )
    if len(value.encode()) > UNIX_PATH_LIMIT:
        raise ConfigError(
            f"address: a socket's path may have {UNIX_PATH_LIMIT} bytes, this one has "
            f"{len(value.encode())}"
        )
    return UnixAddress(value)


def tcp_address(key: str, value: str, why: str = "") -> TCPAddress:
    """
    Check for an IP address and a port.

    @param why: it must be one, for the message.
    """
    host, colon, port = value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        if not colon or not port.isascii() or not port.isdigit():
            raise ValueError
        version = ip_address(host[1:-1] if bracketed else host).version
        if bracketed != (version == 6) or not 0 < int(port) < 65536:
            raise ValueError
    except ValueError:
        raise ConfigError(f"{key}: {value!r} must be IP:PORT or [IPv6]:PORT{why}") from None
    return TCPAddress(host.strip("[]"), int(port))


def vm_network(key: str, value: str) -> Network:
    """Check for a network that VMs can have."""
    try:
        network = ip_network(_without_zone(value))
    except ValueError as error:
        raise ConfigError(
            f"{key}: {value!r} must be a network such as {DEFAULT_CIDR} or fd00::/64: "
            f"{error}"
        ) from None
    _check_for_vms(key, network)
    return network


def _without_zone(text: str) -> str:
    """
    Check that a text has no zone (RFC 4007), which could be anything.

    @raise ValueError: if it has.
    """
    if "%" in text:
        raise ValueError("it has a zone")
    return text


def vm_network_of_ipv4(key: str, value: str) -> IPv4Network:
    """Check for a network of IPv4 that VMs can have."""
    try:
        network = IPv4Network(value)
    except ValueError as error:
        raise ConfigError(
            f"{key}: {value!r} must be an IPv4 network such as {DEFAULT_CIDR}: {error}"
        ) from None
    _check_for_vms(key, network)
    return network


def _check_for_vms(key: str, network: Network) -> None:
    # Much of ::/8 stands for addresses of IPv4 (RFC 4291, RFC 6052).
    is_other = isinstance(network, IPv6Network) and (
        network.is_link_local or network.overlaps(IPv6Network("::/8"))
    )
    if is_other or network.is_loopback or network.is_multicast or network.prefixlen == 0:
        raise ConfigError(f"{key}: {str(network)!r} is no network that VMs can have")
    longest = network.max_prefixlen - 2
    if network.prefixlen > longest:
        raise ConfigError(
            f"{key}: {str(network)!r} has no room for VMs; /{longest} is the smallest"
        )


def gateway_in(key: str, network: Network, value: str) -> Address:
    """
    Parse the gateway of a network.

    @raise ConfigError: if it is not the address of a host in C{network}.
    """
    try:
        gateway = ip_address(_without_zone(value))
        if gateway not in network:
            raise ValueError
        if gateway in (network.network_address, network.broadcast_address):
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"{key}: {value!r} must be the address of a host in {network}"
        ) from None
    return gateway


def interface_name(key: str, value: str) -> str:
    """Check for a name that the kernel takes for an interface."""
    if not INTERFACE_NAME.fullmatch(value):
        raise ConfigError(
            f"{key}: {value!r} must be an interface name: 1 to 15 letters, digits and ._-"
        )
    return value


def source_networks(key: str, value: Any) -> tuple[Network, ...] | None:
    """Check for a list of networks, or nothing."""
    if value is None:
        return None
    try:
        return tuple(ip_network(network) for network in texts(key, value))
    except ValueError as error:
        raise ConfigError(
            f"{key}: must be networks such as 192.0.2.0/24: {error}"
        ) from None


def address_range(key: str, network: Network, value: Any) -> AddressRange:
    """
    Check for addresses of a network: one of them, C{FIRST-LAST}, or a part of it.

    @raise ConfigError: if it is something else.
    """
    try:
        if not isinstance(value, str):
            raise ValueError
        _without_zone(value)
        if "/" in value:
            part = ip_network(value)
            first, last = part[0], part[-1]
        else:
            start, dash, end = value.partition("-")
            first = ip_address(start.strip())
            last = ip_address(end.strip()) if dash else first
        if int(first) > int(last) or first not in network or last not in network:
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"{key}: {quoted(value)} must be addresses of {network}, as ADDRESS, "
            "FIRST-LAST or a network in it"
        ) from None
    return AddressRange(first=first, last=last)


def name_servers(key: str, value: Any) -> tuple[str, ...]:
    """Check for a list of addresses of name servers."""
    try:
        return tuple(str(ip_address(server)) for server in texts(key, value))
    except ValueError as error:
        raise ConfigError(f"{key}: must be addresses such as 192.0.2.53: {error}") from None
