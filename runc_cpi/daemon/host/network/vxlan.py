"""
The interface of an overlay (ip-link(8), VXLAN), with what it knows of each peer.

It never asks or learns who is where: for each peer it has a neighbour, which is the address
of the host there, and where datagrams for that neighbour go.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from hashlib import sha256
from ipaddress import IPv4Address
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from runc_cpi.daemon.host.network import ipv6, rtnetlink
from runc_cpi.daemon.host.network.links import alias_of, find, remove
from runc_cpi.daemon.networks.peers import (
    OVERHEAD,
    Overlay,
    Peering,
    peer_hardware_address,
)

ALIAS = "runc-cpid overlay of "
PERMANENT = 0x80  # NUD_PERMANENT, linux/neighbour.h


class OverlayUnusable(Exception):
    """The overlay cannot be had; the message says why."""


def interface_of(daemon: str) -> str:
    """
    Name the interface of a daemon's overlay; two daemons on one host differ.

    @param daemon: tells this daemon from others of this host.
    """
    return "vxlan-" + sha256(daemon.encode()).hexdigest()[:8]


def ensure(ip: Any, peering: Peering, alias: str) -> tuple[int, bool]:
    """
    Have the interface of an overlay, and all peers in it.

    @param ip: an C{IPRoute}.
    @param alias: tells operators whose it is.
    @return: its index, and whether it was not as it should be.
    @raise OverlayUnusable: if there is no way to any peer, or the kernel lacks something.
    @raise NetlinkError: if the kernel refuses.
    """
    overlay, ways = peering.overlay, list(_ways(ip, peering))
    assert overlay is not None
    if not ways:
        raise OverlayUnusable("this host has no route to any of its peers")
    address = own_address(overlay, ways[0][0])
    index, changed = _ensure_link(ip, overlay, address)
    link = ip.get_links(index)[0]
    if alias_of(link) != ALIAS + alias:
        ip.link("set", index=index, ifalias=ALIAS + alias)
    mtu = min(mtu for _, mtu in ways) - OVERHEAD
    if link.get_attr("IFLA_MTU") != mtu:
        ip.link("set", index=index, mtu=mtu)
        changed = True
    if link["state"] != "up":
        ipv6.turn_off(overlay.interface)
        ip.link("set", index=index, state="up")
        changed = True
    addresses = {str(peer.address): peer.address for peer in peering.peers}
    wanted = {to: peer_hardware_address(address) for to, address in addresses.items()}
    neighbours = _ensure_neighbours(ip, index, wanted)
    return index, _ensure_destinations(ip, index, wanted) or neighbours or changed


def own_address(overlay: Overlay, found: IPv4Address) -> IPv4Address:
    """
    Return the address by which all peers know this host.

    @param found: the one that the host has on its way to them.
    @raise OverlayUnusable: if that is one of those for VMs: the VM that gets it would get
        all that peers send.
    """
    if overlay.address is not None:
        return overlay.address
    if any(found in vips for vips in overlay.vips):
        raise OverlayUnusable(
            f"{found}, by which this host reaches its peers, is one of vip_addresses; take "
            "it out there, or name another in overlay.address"
        )
    return found


def least_mtu(peering: Peering) -> int | None:
    """
    Return how large packets may be that fit the overlay, also before it is there.

    @return: in bytes; L{None} if there is no overlay, or no way to any peer.
    @raise NetlinkError: if the kernel refuses to tell.
    @raise OSError: likewise.
    """
    if peering.overlay is None:
        return None
    index = find(peering.overlay.interface)
    if index is not None:
        return rtnetlink.mtu_of(index)
    with IPRoute() as ip:
        return min((mtu - OVERHEAD for _, mtu in _ways(ip, peering)), default=None)


def _ways(ip: Any, peering: Peering) -> Iterator[tuple[IPv4Address, int]]:
    """Return the host's own address and the MTU on the way to each peer that has a way."""
    for peer in peering.peers:
        try:
            (route,) = ip.route("get", dst=str(peer.address))
        except NetlinkError:
            continue  # no network is up by now that leads there
        (link,) = ip.get_links(route.get_attr("RTA_OIF"))
        yield IPv4Address(route.get_attr("RTA_PREFSRC")), int(link.get_attr("IFLA_MTU"))


def _ensure_link(ip: Any, overlay: Overlay, address: IPv4Address) -> tuple[int, bool]:
    """Make the interface, unless it is there, with another address of the host as well."""
    name = overlay.interface
    for index in ip.link_lookup(ifname=name):
        (link,) = ip.get_links(index)
        if _is_as_wanted(link, overlay, address):
            return int(index), False
        remove(name)
    try:
        ip.link(
            "add",
            ifname=name,
            kind="vxlan",
            address=peer_hardware_address(address),
            vxlan_id=overlay.id,
            vxlan_port=overlay.port,
            vxlan_local=str(address),
            vxlan_learning=False,
        )
    except NetlinkError as error:
        if error.code == errno.EEXIST:
            raise OverlayUnusable(
                f"another interface of this host has the id {overlay.id} at port "
                f"{overlay.port}"
            ) from None
        if error.code == errno.EOPNOTSUPP:
            raise OverlayUnusable("the kernel has no vxlan") from None
        raise
    (index,) = ip.link_lookup(ifname=name)
    return int(index), True


def _is_as_wanted(link: Any, overlay: Overlay, address: IPv4Address) -> bool:
    info = link.get_attr("IFLA_LINKINFO")
    data = info.get_attr("IFLA_INFO_DATA") if info else None
    if data is None or info.get_attr("IFLA_INFO_KIND") != "vxlan":
        return False
    found = {
        name: data.get_attr(f"IFLA_VXLAN_{name}")
        for name in ("ID", "PORT", "LOCAL", "LEARNING")
    }
    wanted = {"ID": overlay.id, "PORT": overlay.port, "LOCAL": str(address), "LEARNING": 0}
    own = link.get_attr("IFLA_ADDRESS") == peer_hardware_address(address)
    return own and found == wanted


def _ensure_neighbours(ip: Any, index: int, wanted: dict[str, str]) -> bool:
    """
    Have these hosts as neighbours, and no others.

    @param wanted: hardware addresses by address.
    @return: whether something was missing, or too much.
    """
    found = {
        str(entry.get_attr("NDA_DST")): entry.get_attr("NDA_LLADDR")
        for entry in ip.get_neighbours(family=socket.AF_INET, ifindex=index)
        if entry["state"] & PERMANENT
    }
    for address in found.keys() - wanted.keys():
        ip.neigh("del", ifindex=index, dst=address)
    missing = {to: mac for to, mac in wanted.items() if found.get(to) != mac}
    for address, mac in missing.items():
        ip.neigh("replace", ifindex=index, dst=address, lladdr=mac, state=PERMANENT)
    return bool(missing) or bool(found.keys() - wanted.keys())


def _ensure_destinations(ip: Any, index: int, wanted: dict[str, str]) -> bool:
    """
    Have datagrams go to these hosts, and to no others.

    @param wanted: hardware addresses of neighbours by the host's address.
    @return: whether something was missing, or too much.
    """
    found = {
        (str(entry.get_attr("NDA_DST")), str(entry.get_attr("NDA_LLADDR")))
        for entry in ip.fdb("dump", ifindex=index)
        if entry["ifindex"] == index
    }
    for address, mac in found - wanted.items():
        ip.fdb("del", ifindex=index, lladdr=mac, dst=address)
    for address, mac in wanted.items() - found:
        ip.fdb("append", ifindex=index, lladdr=mac, dst=address)
    return found != set(wanted.items())
