"""The host's routes, and those among them that a daemon has made (ip-route(8))."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_network
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from runc_cpi.daemon.host.network.links import reason
from runc_cpi.daemon.networks.model import IPNetwork

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
MAIN_TABLE = 254  # RT_TABLE_MAIN, linux/rtnetlink.h
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


def have(
    ip: Any, wanted: Mapping[Any, Route], protocol: int, metric: int
) -> tuple[bool, list[str]]:
    """
    Have these routes of a daemon, and no others of that protocol.

    @param ip: an C{IPRoute}.
    @param wanted: the routes by where they lead to, all of this protocol and metric.
    @return: whether anything was changed, and which routes cannot be had, and why.
    @raise NetlinkError: if the kernel refuses to tell which there are.
    """
    found = {
        route.network: route
        for version in FAMILIES
        for route in all_routes(ip, version)
        if route.protocol == protocol and route.metric == metric
    }
    changed, problems = False, []
    for network in found.keys() - wanted.keys():
        ip.route("del", dst=str(network), priority=metric, proto=protocol)
        changed = True
    for network, route in wanted.items():
        if not _is_as_wanted(found.get(network), route):
            problem = _replace(ip, route)
            problems += [] if problem is None else [problem]
            changed |= problem is None
    return changed, problems


def _is_as_wanted(found: Route | None, wanted: Route) -> bool:
    if found is None or (found.gateway, found.source) != (wanted.gateway, wanted.source):
        return False
    # Without an interface the kernel chooses one.
    return wanted.interface in (None, found.interface)


def _replace(ip: Any, route: Route) -> str | None:
    """Have a route, and return why not if that cannot be."""
    more: dict[str, Any] = {}
    if route.interface is not None:
        # The next hop is there, also if no address of the interface says so.
        more |= {"oif": route.interface, "flags": ["onlink"]}
    if route.source is not None:
        more["prefsrc"] = route.source
    try:
        ip.route(
            "replace",
            dst=str(route.network),
            gateway=route.gateway,
            proto=route.protocol,
            priority=route.metric,
            **more,
        )
    except NetlinkError as error:
        return f"no route to {route.network} by {route.gateway}: {reason(error)}"
    return None
