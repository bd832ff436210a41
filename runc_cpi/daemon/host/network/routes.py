"""The host's routes, and those among them that a daemon has made (ip-route(8))."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address, ip_network
from typing import Any

from runc_cpi.daemon.host.network.links import reason
from runc_cpi.daemon.host.network.route_messages import (
    MAIN_TABLE,
    put_route,
    remove_route,
)
from runc_cpi.daemon.networks.model import IPNetwork

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
# Who made a route: numbers that iproute2's rt_protos gives to nobody.
TO_PEERS, TO_BLOCKS = 119, 120


@dataclass(frozen=True, kw_only=True)
class Route:
    """
    A route of the main table.

    @ivar network: where it leads to.
    @ivar gateway: the next hop, or L{None} if there is none.
    @ivar interface: the index of the interface that it leaves by, if there is one.
    @ivar source: the address that the host itself has for it, or L{None} for any.
    @ivar protocol: who made it.
    @ivar metric: which of several routes to one network is taken: the lowest.
    """

    network: IPNetwork
    gateway: str | None
    interface: int | None
    source: str | None
    protocol: int
    metric: int

    def is_of(self, metric: int) -> bool:
        """Say whether the daemon with that metric made it."""
        return self.protocol in (TO_PEERS, TO_BLOCKS) and self.metric == metric


def metric_of(daemon: str) -> int:
    """
    Return the metric of a daemon's routes, by which it knows them.

    @param daemon: tells this daemon from others of this host.
    """
    return int(sha256(daemon.encode()).hexdigest()[:7], 16) + 1


def all_routes(ip: Any, version: int = 4) -> Iterator[Route]:
    """
    Return all routes of a kind of IP but the default ones.

    @param ip: an C{IPRoute}.
    @param version: 4 or 6.
    @raise NetlinkError: if the kernel refuses to tell.
    """
    for found in ip.get_routes(family=FAMILIES[version], table=MAIN_TABLE):
        if found["dst_len"]:
            yield Route(
                network=ip_network((found.get_attr("RTA_DST"), found["dst_len"])),
                gateway=found.get_attr("RTA_GATEWAY"),
                interface=found.get_attr("RTA_OIF"),
                source=found.get_attr("RTA_PREFSRC"),
                protocol=found["proto"],
                metric=found.get_attr("RTA_PRIORITY") or 0,
            )


def made(ip: Any, protocol: int, metric: int) -> dict[IPNetwork, Route]:
    """
    Return the routes of a daemon that have a protocol, by where they lead to.

    @param ip: an C{IPRoute}.
    @raise NetlinkError: if the kernel refuses to tell.
    """
    return {
        route.network: route
        for version in FAMILIES
        for route in all_routes(ip, version)
        if route.protocol == protocol and route.metric == metric
    }


def have(
    wanted: Mapping[Any, Route], found: Mapping[Any, Route]
) -> tuple[bool, dict[IPNetwork, str]]:
    """
    Have these routes of a daemon, and no others of their protocol.

    @param wanted: the routes by where they lead to, all of one protocol and metric.
    @param found: those that there are by now.
    @return: whether anything was changed, and which routes cannot be had, and why.
    @raise OSError: if the kernel refuses to remove one.
    """
    changed, refused = False, {}
    for network in found.keys() - wanted.keys():
        changed |= _remove(found[network])
    for network, route in wanted.items():
        if not _is_as_wanted(found.get(network), route):
            try:
                _put(route)
            except OSError as error:
                why = f"no route to {network} by {route.gateway}: {reason(error)}"
                refused[route.network] = why
            else:
                changed = True
    return changed, refused


def _is_as_wanted(found: Route | None, wanted: Route) -> bool:
    if found is None or (found.gateway, found.source) != (wanted.gateway, wanted.source):
        return False
    # Without an interface the kernel chooses one.
    return wanted.interface in (None, found.interface)


def _put(route: Route) -> None:
    assert route.gateway is not None
    put_route(
        route.network,
        ip_address(route.gateway),
        index=route.interface,
        source=None if route.source is None else ip_address(route.source),
        protocol=route.protocol,
        metric=route.metric,
    )


def _remove(route: Route) -> bool:
    """Remove a route; return whether it was there: the kernel drops those of bridges."""
    try:
        remove_route(route.network, protocol=route.protocol, metric=route.metric)
    except OSError as error:
        if error.errno != errno.ESRCH:
            raise
        return False
    return True
