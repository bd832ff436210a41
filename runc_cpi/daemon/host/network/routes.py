"""The host's routes, and those among them that a daemon has made (ip-route(8))."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_network
from typing import Any

from runc_cpi.daemon.networks.model import IPNetwork

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
MAIN_TABLE = 254  # RT_TABLE_MAIN, linux/rtnetlink.h
# Who made a route: a number that iproute2's rt_protos gives to nobody.
PROTOCOL = 119


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
        return self.protocol == PROTOCOL and self.metric == metric


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
