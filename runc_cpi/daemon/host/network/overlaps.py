"""The networks and addresses that the host has by itself."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from pyroute2 import IPRoute

from runc_cpi.daemon.host.network.links import name_of
from runc_cpi.daemon.networks.model import Subnet

MAIN_TABLE = 254  # RT_TABLE_MAIN, linux/rtnetlink.h


def overlap(ip: Any, subnet: Subnet, own: Collection[int], label: str) -> str | None:
    """
    Name the network of the host that a subnet overlaps with, or return L{None}.

    A route to a larger network is no overlap: the one to the subnet comes before it
    (ip-route(8)).  But a network that the host itself has an address in is.

    The vips of this daemon that are reserved in the subnet do not count.

    @param ip: an C{IPRoute}.
    @param own: the indexes of interfaces that do not count: the subnet's own bridge.
    @param label: that of the vips of this daemon.
    @raise NetlinkError: if the kernel refuses to tell.
    """
    cidr = subnet.cidr
    for interface, index, labelled in _addresses(ip):
        if labelled == label and any(interface.ip in kept for kept in subnet.reserved):
            continue
        if index not in own and interface.network.overlaps(cidr):
            return f"{interface}, an address of {name_of(ip, index)}"
    for network, way in _routes(ip):
        is_inside = network.prefixlen >= cidr.prefixlen
        if way not in own and is_inside and network.overlaps(cidr):
            where = "" if way is None else f" by {name_of(ip, way)}"
            return f"{network}, a route{where}"
    return None


def own_networks(ip: Any, own: Collection[int]) -> set[IPv4Network]:
    """
    Return the networks that the host has an address in, or a route to.

    @param ip: an C{IPRoute}.
    @param own: the indexes of interfaces that do not count.
    @raise NetlinkError: if the kernel refuses to tell.
    """
    with_addresses = {i.network for i, index, _ in _addresses(ip) if index not in own}
    return with_addresses | {network for network, way in _routes(ip) if way not in own}


def own_addresses() -> set[IPv4Address]:
    """
    Return the addresses that the host itself has.

    @raise NetlinkError: if the kernel refuses to tell.
    """
    with IPRoute() as ip:
        return {interface.ip for interface, _, _ in _addresses(ip)}


def _addresses(ip: Any) -> Iterator[tuple[IPv4Interface, int, str | None]]:
    """Return all addresses, with the interface and the label of each."""
    for entry in ip.get_addr(family=socket.AF_INET):
        address = entry.get_attr("IFA_LOCAL") or entry.get_attr("IFA_ADDRESS")
        interface = IPv4Interface((address, entry["prefixlen"]))
        yield interface, entry["index"], entry.get_attr("IFA_LABEL")


def _routes(ip: Any) -> Iterator[tuple[IPv4Network, int | None]]:
    """Return the networks that there are routes to, and the interface of each."""
    for route in ip.get_routes(family=socket.AF_INET, table=MAIN_TABLE):
        if route["dst_len"]:
            network = IPv4Network((route.get_attr("RTA_DST"), route["dst_len"]))
            yield network, route.get_attr("RTA_OIF")
