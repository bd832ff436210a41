"""The C{networks} argument of create_vm, checked and read."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    ip_address,
)
from typing import Any

from runc_cpi.daemon.networks.model import Network
from runc_cpi.errors import InvalidArgument, NotSupported

TYPES = ("manual", "dynamic", "vip")
WHOLE = 32  # bits of an IPv4 address
LONGEST_PREFIX = 30  # bits; with more there is no room for a VM beside the gateway


def parse(networks: Any) -> list[Network]:
    """
    Check the C{networks} of a create_vm call.

    @raise InvalidArgument: naming the network, the field and what is accepted.
    @raise NotSupported: if a network asks for a block of addresses.
    """
    if not isinstance(networks, dict):
        raise InvalidArgument("networks: must be an object of networks by name")
    parsed = [_parse(name, settings) for name, settings in networks.items()]
    if not any(network.kind != "vip" for network in parsed):
        raise InvalidArgument("networks: must hold a manual or a dynamic network")
    _check_distinct(parsed)
    return parsed


def _check_distinct(networks: Sequence[Network]) -> None:
    owners: dict[IPv4Address, str] = {}
    for network in networks:
        if network.address is not None:
            other = owners.setdefault(network.address, network.name)
            if other != network.name:
                raise InvalidArgument(
                    f"networks.{network.name}.ip: {str(network.address)!r} is that of "
                    f"networks.{other}; each network needs its own"
                )


def _parse(name: str, settings: Any) -> Network:
    where = f"networks.{name}"
    if not isinstance(settings, dict):
        raise InvalidArgument(f"{where}: {settings!r} must be an object")
    # The contract's default: a network without a type is a manual one.
    kind = settings.get("type", "manual")
    if kind not in TYPES:
        raise InvalidArgument(f"{where}.type: {kind!r} is none of {', '.join(TYPES)}")
    dns = settings.get("dns")
    if dns is not None and not _are_addresses(dns):
        raise InvalidArgument(f"{where}.dns: {dns!r} must be a list of addresses")
    default = settings.get("default")
    if default is not None and not _are_strings(default):
        raise InvalidArgument(f"{where}.default: {default!r} must be a list of strings")
    _check_prefix(f"{where}.prefix", kind, settings.get("prefix"))
    address = None
    if kind != "dynamic":
        address = _address(f"{where}.ip", kind, settings.get("ip"))
    return Network(name=name, kind=kind, address=address, settings=settings)


def _check_prefix(where: str, kind: str, prefix: Any) -> None:
    """
    Check how many bits of an address the director leaves no choice of.

    With fewer than all, the VM is to have a whole block of addresses.
    """
    if isinstance(prefix, bool) or not isinstance(prefix, (int, str, type(None))):
        raise InvalidArgument(f"{where}: {prefix!r} must be a number of bits")
    if kind == "manual" and prefix not in (None, "", WHOLE, str(WHOLE)):
        raise NotSupported(
            f"{where}: {prefix!r} asks for a block of addresses, which VMs cannot have "
            f"here; leave it out, or say {WHOLE}"
        )


def _are_addresses(value: Any) -> bool:
    try:
        # What follows a "%" in an IPv6 address can be anything to ip_address().
        return _are_strings(value) and all(
            ip_address(item) and item.isprintable() and " " not in item for item in value
        )
    except ValueError:
        return False


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _address(where: str, kind: str, value: Any) -> IPv4Address:
    try:
        if not isinstance(value, str):
            raise AddressValueError
        return IPv4Address(value)
    except AddressValueError:
        message = f"{where}: {value!r} is no IPv4 address; a {kind} network needs one"
        raise InvalidArgument(message) from None


def described_gateway(network: Network) -> IPv4Interface:
    """
    Return the host's address in the subnet that a manual network describes by its
    address, its netmask and its gateway, with the size of the subnet.

    Without a gateway it is the subnet's first address.

    @raise InvalidArgument: naming the field and what is accepted.
    """
    where, settings = f"networks.{network.name}", network.settings
    cidr = _described_cidr(where, network.address, settings.get("netmask"))
    if cidr.prefixlen > LONGEST_PREFIX:
        message = f"{where}.netmask: {settings['netmask']!r} leaves no room for VMs"
        raise InvalidArgument(f"{message}; /{LONGEST_PREFIX} is the smallest network")
    return gateway_in(f"{where}.gateway", cidr, settings.get("gateway"))


def gateway_in(where: str, cidr: IPv4Network, raw: Any) -> IPv4Interface:
    """
    Return the host's address in a network, with its size: the first, if none is named.

    @param where: names the field.
    @raise InvalidArgument: if that can be no address of the host there.
    """
    if raw is None:
        return IPv4Interface((cidr[1], cidr.prefixlen))
    try:
        gateway = IPv4Address(raw) if isinstance(raw, str) else None
    except AddressValueError:
        gateway = None
    ends = cidr.network_address, cidr.broadcast_address
    if gateway is None or gateway not in cidr or gateway in ends:
        raise InvalidArgument(f"{where}: {raw!r} must be an address in {cidr}")
    return IPv4Interface((gateway, cidr.prefixlen))


def _described_cidr(where: str, address: IPv4Address | None, netmask: Any) -> IPv4Network:
    try:
        if not isinstance(netmask, str):
            raise ValueError
        cidr = IPv4Network(f"{address}/{netmask}", strict=False)
        # A host mask such as 0.0.0.255 is taken for a netmask otherwise.
        if netmask != str(cidr.netmask):
            raise ValueError
    except ValueError:
        raise InvalidArgument(
            f"{where}.netmask: {netmask!r} must be a netmask such as 255.255.255.0, as "
            f"{address} is in no network that this host has"
        ) from None
    return cidr
