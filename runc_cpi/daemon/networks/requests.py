"""The C{networks} argument of create_vm, checked and read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from runc_cpi.daemon.networks.model import (
    Address,
    InterfaceAddress,
    IPNetwork,
    Network,
)
from runc_cpi.errors import InvalidArgument

TYPES = ("manual", "dynamic", "vip")
NUMBER = re.compile("[0-9]{1,3}")  # of bits
LONGEST_PREFIX = 30  # bits; with more there is no room for a VM beside the gateway
LONGEST_PREFIX_OF_IPV6 = 126


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


def _address(where: str, kind: str, value: Any) -> Address:
    address = _read(value)
    if address is None or (kind == "vip" and address.version != 4):
        what = "IPv4 address" if kind == "vip" else "IP address"
        raise InvalidArgument(
            f"{where}: {value!r} is no {what}; a {kind} network needs one"
        )
    return address


def _read(value: Any) -> Address | None:
    """Return an address; L{None} if it is none, or of a zone (RFC 4007) alone."""
    try:
        return ip_address(value) if isinstance(value, str) and "%" not in value else None
    except ValueError:
        return None


def described_gateway(network: Network) -> InterfaceAddress:
    """
    Return the host's address in the subnet that a manual network describes by its
    address, its netmask and its gateway, with the size of the subnet.

    Without a gateway it is the subnet's first address.

    @raise InvalidArgument: naming the field and what is accepted.
    """
    where, settings = f"networks.{network.name}", network.settings
    cidr = _described_cidr(where, network.address, settings.get("netmask"))
    if cidr.version == 6 and (cidr.is_link_local or cidr.is_multicast):
        raise InvalidArgument(f"{where}.ip: {cidr} is no network that VMs can have")
    longest = LONGEST_PREFIX if cidr.version == 4 else LONGEST_PREFIX_OF_IPV6
    if cidr.prefixlen > longest:
        message = f"{where}.netmask: {settings['netmask']!r} leaves no room for VMs"
        raise InvalidArgument(f"{message}; /{longest} is the smallest network")
    return gateway_in(f"{where}.gateway", cidr, settings.get("gateway"))


def gateway_in(where: str, cidr: IPNetwork, raw: Any) -> InterfaceAddress:
    """
    Return the host's address in a network, with its size: the first, if none is named.

    @param where: names the field.
    @raise InvalidArgument: if that can be no address of the host there.
    """
    if raw is None:
        return ip_interface((cidr[1], cidr.prefixlen))
    gateway = _read(raw)
    ends = cidr.network_address, cidr.broadcast_address
    if gateway is None or gateway not in cidr or gateway in ends:
        raise InvalidArgument(f"{where}: {raw!r} must be an address in {cidr}")
    return ip_interface((gateway, cidr.prefixlen))


def _described_cidr(where: str, address: Address | None, netmask: Any) -> IPNetwork:
    bits = netmask_bits(netmask)
    if address is not None and bits is not None and address.version == bits[0]:
        return ip_interface((address, bits[1])).network
    example = "255.255.255.0"
    if address is not None and address.version == 6:
        example = "ffff:ffff:ffff:ffff:: or 64"
    raise InvalidArgument(
        f"{where}.netmask: {netmask!r} must be a netmask such as {example}, as {address} "
        "is in no network that this host has"
    )


def netmask_bits(netmask: Any) -> tuple[int, int] | None:
    """
    Return the kind of IP that a netmask is of, 4 or 6, and its bits.

    One of IPv6 can be an address or a number: directors have the one, people the other.

    @return: L{None} if it is none.  That holds for a host mask such as 0.0.0.255, too.
    """
    mask = _read(netmask)
    if mask is None:
        is_number = isinstance(netmask, str) and NUMBER.fullmatch(netmask) is not None
        return (6, int(netmask)) if is_number and 1 <= int(netmask) <= 128 else None
    bits = bin(int(mask))[2:].rstrip("0")
    is_mask = "0" not in bits and int(mask) >> (mask.max_prefixlen - 1) == 1
    return (mask.version, len(bits)) if is_mask else None
