"""The networks and addresses that the host has by itself."""

from __future__ import annotations

from collections.abc import Callable, Collection
from ipaddress import IPv4Network
from typing import Any

from runc_cpi.daemon.host.network.links import name_of
from runc_cpi.daemon.host.network.routes import FAMILIES, all_routes
from runc_cpi.daemon.host.network.rtnetlink import addresses
from runc_cpi.daemon.networks.model import Address, IPNetwork


def overlap(
    ip: Any,
    cidr: IPNetwork,
    own: Collection[int],
    metric: int,
    is_of_daemon: Callable[[Address, str | None], bool] = lambda address, label: False,
) -> str | None:
    """
    Name the network of the host that another one overlaps with, or return L{None}.

    A route to a larger network is no overlap: the one to the subnet comes before it
    (ip-route(8)).  But a network that the host itself has an address in is.

    @param ip: an C{IPRoute}.
    @param own: the indexes of interfaces that do not count: the subnet's own bridge.
    @param metric: of the daemon's own routes, which do not count either.
    @param is_of_daemon: says of an address, by its label, that it does not count either.
    @raise NetlinkError: if the kernel refuses to tell.
    @raise OSError: likewise.
    """
    for interface, index, label in addresses(cidr.version):
        if is_of_daemon(interface.ip, label):
            continue
        if index not in own and interface.network.overlaps(cidr):
            return f"{interface}, an address of {name_of(ip, index)}"
    for route in all_routes(ip, cidr.version):
        is_inside = route.network.prefixlen >= cidr.prefixlen
        is_own = route.interface in own or route.is_of(metric)
        if not is_own and is_inside and route.network.overlaps(cidr):
            way = route.interface
            where = "" if way is None else f" by {name_of(ip, way)}"
            return f"{route.network}, a route{where}"
    return None


def own_networks(ip: Any, own: Collection[int]) -> set[IPv4Network]:
    """
    Return the networks of IPv4 that the host has an address in, or a route to.

    @param ip: an C{IPRoute}.
    @param own: the indexes of interfaces that do not count.
    @raise NetlinkError: if the kernel refuses to tell.
    @raise OSError: likewise.
    """
    with_addresses = {i.network for i, index, _ in addresses(4) if index not in own}
    routes = {route.network for route in all_routes(ip) if route.interface not in own}
    return {found for found in with_addresses | routes if isinstance(found, IPv4Network)}


def own_addresses() -> set[Address]:
    """
    Return the addresses that the host itself has.

    @raise OSError: if the kernel refuses to tell.
    """
    return {i.ip for version in FAMILIES for i, _, _ in addresses(version)}
