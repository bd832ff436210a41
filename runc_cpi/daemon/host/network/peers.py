"""The ways to VMs of other hosts: routes, and an overlay if one carries them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from runc_cpi.daemon.host.network import routes, vxlan
from runc_cpi.daemon.host.network.links import reason, remove
from runc_cpi.daemon.host.network.overlaps import overlap, own_addresses
from runc_cpi.daemon.host.network.routes import TO_PEERS, Route, metric_of
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
        @raise OSError: if it refuses to remove one.
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
            made = routes.made(ip, TO_PEERS, self._metric)
            rerouted, refused = routes.have(wanted, made)
            changed |= rerouted
            problems += refused.values()
            if peering.overlay is None and ip.link_lookup(ifname=self._interface):
                remove(self._interface)
                changed = True
        return Reached(changed=changed, problems=tuple(problems))

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
            protocol=TO_PEERS,
            metric=self._metric,
        )
