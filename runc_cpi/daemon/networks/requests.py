"""The C{networks} argument of create_vm, checked and read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    ip_address,
    ip_network,
)
from typing import Any

from runc_cpi.daemon.networks.model import Address, IPNetwork, Network
from runc_cpi.errors import InvalidArgument

TYPES = ("manual", "dynamic", "vip")
NUMBER = re.compile("[0-9]{1,3}")  # of bits
LONGEST_PREFIX = 30  # bits; with more there is no room for a VM beside the gateway


def parse(networks: Any) -> list[Network]:
    """
    Check the C{networks} of a create_vm call.

    @raise InvalidArgument: naming the network, the field and what is accepted.
    """
    if not isinstance(networks, dict):
        raise InvalidArgument("networks: must be an object of networks by name")
    parsed = [_parse(name, settings) for name, settings in networks.items()]
    if not any(network.kind != "vip" for network in parsed):
        raise InvalidArgument("networks: must hold a manual or a dynamic network")
    _check_distinct(parsed)
    return parsed


def _check_distinct(networks: Sequence[Network]) -> None:
    places = [
        (address.version, int(address), int(_last(network, address)), network)
        for network in networks
        if (address := network.address) is not None
    ]
    places.sort(key=lambda place: place[:2])
    # Of blocks, one that begins within another one lies in it.
    for (version, _, last, one), (other_version, first, _, other) in zip(
        places, places[1:], strict=False
    ):
        if version == other_version and first <= last:
            whose = "that of" if one.block is None else f"in {one.block} of"
            raise InvalidArgument(
                f"networks.{other.name}.ip: {str(other.address)!r} is {whose} "
                f"networks.{one.name}; each network needs its own"
            )


def _last(network: Network, address: Address) -> Address:
    return address if network.block is None else network.block[-1]


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
    prefix = settings.get("prefix")
    if isinstance(prefix, bool) or not isinstance(prefix, (int, str, type(None))):
        raise InvalidArgument(f"{where}.prefix: {prefix!r} must be a number of bits")
    address = block = None
    if kind != "dynamic":
        address = _address(f"{where}.ip", kind, settings.get("ip"))
    if kind == "manual" and address is not None and prefix not in (None, ""):
        block = _block(where, address, prefix)
    return Network(name=name, kind=kind, address=address, settings=settings, block=block)


def _block(where: str, address: Address, prefix: int | str) -> IPNetwork | None:
    """
    Return the block of addresses that a network asks for, or L{None} for a single one.

    @param prefix: how many bits of the address the director leaves no choice of.
    """
    bits, whole = str(prefix), address.max_prefixlen
    if not NUMBER.fullmatch(bits) or not 1 <= int(bits) <= whole:
        message = f"{where}.prefix: {prefix!r} must be a number of bits from 1 to {whole}"
        raise InvalidArgument(message)
    if int(bits) == whole:
        return None
    block = ip_network((address, int(bits)), strict=False)
    if block.network_address != address:
        raise InvalidArgument(
            f"{where}.ip: {str(address)!r} is not the first address of a block of "
            f"{int(bits)} bits; that is {block.network_address}"
        )
    return block


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
