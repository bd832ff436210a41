"""The ways to VMs of other hosts: routes, and an overlay if one carries them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from runc_cpi.daemon.host.network import vxlan
from runc_cpi.daemon.host.network.links import reason, remove
from runc_cpi.daemon.host.network.overlaps import overlap, own_addresses
from runc_cpi.daemon.host.network.routes import PROTOCOL, Route, all_routes, metric_of
from runc_cpi.daemon.networks.peers import Peer, Peering, Reached


class Ways:
    """
    The routes and the overlay of one daemon; every method blocks.

    Its routes have a protocol and a metric of their own.  Those of others stay.

    @param daemon: tells this daemon from others of this host.
    """

    def __init__(self, daemon: str) -> None:
        self._daemon, self._interface = daemon, vxlan.interface_of(daemon)
        self._metric = metric_of(daemon)

    def set_up(self, peering: Peering) -> Reached:
        """
        Have ways to the VMs of these peers, and of no others.

        @raise NetlinkError: if the kernel refuses to tell which there are.
        """
        problems: list[str] = []
        with IPRoute() as ip:
            changed, index = False, None
            if peering.peers and peering.overlay is not None:
                try:
                    index, changed = vxlan.ensure(ip, peering, self._daemon)
                except (NetlinkError, OSError, vxlan.OverlayUnusable) as error:
                    # What there is may be of use again when the network is back.
                    return Reached(changed=False, problems=(f"overlay: {reason(error)}",))
            wanted = dict(self._wanted(ip, peering, index, problems))
            found = {route.network: route for route in self._routes(ip)}
            for network, route in found.items():
                if network not in wanted:
                    self._remove(ip, route)
                    changed = True
            for network, route in wanted.items():
                if not _is_as_wanted(found.get(network), route):
                    problem = _replace(ip, route)
                    problems += [] if problem is None else [problem]
                    changed |= problem is None
            if peering.overlay is None and ip.link_lookup(ifname=self._interface):
                remove(self._interface)
                changed = True
        return Reached(changed=changed, problems=tuple(problems))

    def _routes(self, ip: Any) -> list[Route]:
        return [route for route in all_routes(ip) if route.is_of(self._metric)]

    def _wanted(
        self, ip: Any, peering: Peering, index: int | None, problems: list[str]
    ) -> Iterator[tuple[IPv4Network, Route]]:
        """
        Return the routes that there can be, by network.

        @param index: of the overlay's interface, if there is one.
        @param problems: what cannot be is added to it.
        """
        own = own_addresses() if peering.peers else set()
        for peer in peering.peers:
            if peer.address in own:
                problems.append(f"{peer.address} is this host's own address")
                continue
            for cidr in peer.cidrs:
                other = overlap(ip, cidr, (), self._metric)
                if other is None:
                    yield cidr, self._route(peer, cidr, peering, index)
                else:
                    problems.append(
                        f"{cidr} of the peer {peer.address} overlaps with {other} of this "
                        "host"
                    )

    def _route(
        self, peer: Peer, cidr: IPv4Network, peering: Peering, index: int | None
    ) -> Route:
        return Route(
            network=cidr,
            gateway=str(peer.address),
            interface=index,
            source=None if peering.source is None else str(peering.source),
            protocol=PROTOCOL,
            metric=self._metric,
        )

    def _remove(self, ip: Any, route: Route) -> None:
        ip.route("del", dst=str(route.network), priority=self._metric, proto=PROTOCOL)


def _is_as_wanted(found: Route | None, wanted: Route) -> bool:
    if found is None or (found.gateway, found.source) != (wanted.gateway, wanted.source):
        return False
    # Without an overlay the kernel chooses the interface.
    return wanted.interface in (None, found.interface)


def _replace(ip: Any, route: Route) -> str | None:
    """Have a route, and return why not if that cannot be."""
    more: dict[str, Any] = {}
    if route.interface is not None:
        # The host at the other end has no address in the overlay.
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
