"""The bridges of the subnets, each with the host's address in its subnet."""

from __future__ import annotations

import socket
from collections.abc import Collection, Sequence
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from runc_cpi.daemon.host.network import ipv6, link_dump
from runc_cpi.daemon.host.network.link_dump import Link
from runc_cpi.daemon.host.network.links import alias_of, reason, remove
from runc_cpi.daemon.host.network.overlaps import overlap, own_networks
from runc_cpi.daemon.host.network.routes import metric_of
from runc_cpi.daemon.host.network.vip_addresses import label_of
from runc_cpi.daemon.networks.model import Subnet

EVERYWHERE, PERMANENT = 0, 0x80  # RT_SCOPE_UNIVERSE, IFA_F_PERMANENT: linux/if_addr.h
ALIAS = "runc-cpid bridge of "


class BridgeUnusable(Exception):
    """A bridge cannot be made or used as configured."""


class Bridges:
    """
    The bridges of one daemon; every method blocks.

    Each bridge that the daemon makes has an alias that names the daemon.  Others are the
    operator's: they are used, and never removed.

    @ivar daemon: tells this daemon from others of this host.
    @param configured: the names of the bridges that are always there.
    @ivar daemon: tells this daemon from others of this host.
    """

    def __init__(self, daemon: str, configured: Collection[str]) -> None:
        self.daemon, self._configured = daemon, configured
        self._alias = ALIAS + daemon
        # What a bridge is called in the making.
        self._draft = "d" + sha256(daemon.encode()).hexdigest()[:12]

    def set_up(
        self, subnets: Sequence[Subnet], known: Collection[Subnet] = ()
    ) -> dict[Subnet, str]:
        """
        Have the bridges of these subnets, and no others but those with ports.

        @param known: subnets whose bridges are there, and are not looked at.
        @return: why not, for each subnet that cannot be had.
        @raise OSError: if the kernel refuses.
        """
        failed = {}
        self._remove_others({subnet.bridge for subnet in subnets})
        for subnet in subnets:
            if subnet in known:
                continue
            try:
                self.ensure(subnet)
            except BridgeUnusable as error:
                failed[subnet] = f"bridge: {error}"
        return failed

    def ensure(self, subnet: Subnet) -> None:
        """
        Have the bridge of a subnet, whatever others there are.

        @raise BridgeUnusable: if its name belongs to something else, or the kernel refuses.
        """
        try:
            with IPRoute() as ip:
                self._ensure(ip, subnet)
        except (NetlinkError, OSError) as error:
            raise BridgeUnusable(f"{subnet.bridge}: {reason(error)}") from error

    def remove_empty(self) -> None:
        """
        Remove the bridges of this daemon that have no port.

        @raise OSError: if the kernel refuses.
        """
        self._remove_others(set())

    def _remove_others(self, wanted: Collection[str]) -> None:
        remove(self._draft)
        for link in link_dump.bridges():
            is_spare = link.alias == self._alias and link.name not in wanted
            if is_spare and not link_dump.ports(link.index):
                remove(link.name)

    def own(self) -> list[Link]:
        """
        Return the bridges that VMs of this daemon can be connected to.

        @raise OSError: if the kernel refuses to tell.
        """
        return [link for link in link_dump.bridges() if self._is_own(link)]

    def names(self) -> set[str]:
        """
        Return the names of the bridges that VMs of this daemon can be connected to.

        @raise OSError: if the kernel refuses to tell.
        """
        return {link.name for link in self.own()}

    def _is_own(self, link: Link) -> bool:
        is_free = link.name in self._configured and not link.alias.startswith(ALIAS)
        return link.alias == self._alias or is_free

    def overlap(self, subnet: Subnet) -> str | None:
        """
        Name the network of the host that a subnet overlaps with, or return L{None}.

        The bridges of this daemon do not count, nor its own routes, nor its vips that are
        reserved there.

        @raise NetlinkError: if the kernel refuses to tell.
        @raise OSError: likewise.
        """
        own, metric = {link.index for link in self.own()}, metric_of(self.daemon)

        def is_own_vip(address: IPv4Address, label: str | None) -> bool:
            is_reserved = any(address in kept for kept in subnet.reserved)
            return label == label_of(self.daemon) and is_reserved

        with IPRoute() as ip:
            return overlap(ip, subnet.cidr, own, metric, is_own_vip)

    def own_networks(self) -> set[IPv4Network]:
        """
        Return the networks of the host but those of the bridges of this daemon.

        @raise NetlinkError: if the kernel refuses to tell.
        @raise OSError: likewise.
        """
        own = {link.index for link in self.own()}
        with IPRoute() as ip:
            return own_networks(ip, own)

    def _ensure(self, ip: Any, subnet: Subnet) -> None:
        """
        Make a bridge, unless it is there, and give it its address.

        IPv6 is turned off on it, unless somebody gave it an address of that kind.
        """
        link = self._ensure_link(ip, subnet.bridge)
        index = int(link["index"])
        _ensure_address(ip, index, subnet, is_own=alias_of(link) == self._alias)
        ipv6.ignore_routers(subnet.bridge)
        if not _has_ipv6(ip, index):
            ipv6.turn_off(subnet.bridge)
        ip.link("set", index=index, state="up")

    def _ensure_link(self, ip: Any, name: str) -> Any:
        """Make the interface, unless it is there, and return what netlink tells of it."""
        if not ip.link_lookup(ifname=name):
            self._make_link(ip, name)
        (link,) = ip.get_links(ip.link_lookup(ifname=name)[0])
        info = link.get_attr("IFLA_LINKINFO")
        kind = info.get_attr("IFLA_INFO_KIND") if info else None
        if kind != "bridge":
            raise BridgeUnusable(f"{name}: there is such an interface, no bridge")
        alias = alias_of(link)
        if alias.startswith(ALIAS) and alias != self._alias:
            raise BridgeUnusable(f"{name}: this bridge is another runc-cpid's")
        if not alias and link.get_attr("IFLA_ADDRESS") == _hardware_address(name):
            # Daemons of before made bridges without an alias.
            ip.link("set", index=link["index"], ifalias=self._alias)
            (link,) = ip.get_links(link["index"])
        return link

    def _make_link(self, ip: Any, name: str) -> None:
        """Make a bridge; it gets its name last, when it has the alias."""
        remove(self._draft)
        ip.link("add", ifname=self._draft, kind="bridge", address=_hardware_address(name))
        (index,) = ip.link_lookup(ifname=self._draft)
        ip.link("set", index=index, ifalias=self._alias)
        ip.link("set", index=index, ifname=name)


def _hardware_address(name: str) -> str:
    """
    Return the hardware address of a bridge.

    Without one of its own it takes that of a port, and changes it as ports come and go.
    """
    digest = sha256(name.encode()).hexdigest()
    return ":".join(["02", *(digest[i : i + 2] for i in range(0, 10, 2))])


def _ensure_address(ip: Any, index: int, subnet: Subnet, *, is_own: bool) -> None:
    """
    Give a bridge the host's address in the subnet.

    A bridge of this daemon has no address of another subnet, which it had before.  But an
    address that was the gateway in the same configured subnet stays, for VMs use it.

    @param is_own: whether the daemon made the bridge.
    """
    wanted = subnet.interface
    present = [
        IPv4Interface((entry.get_attr("IFA_LOCAL"), entry["prefixlen"]))
        for entry in ip.get_addr(family=socket.AF_INET, index=index)
    ]
    if wanted not in present:
        ip.addr("add", index=index, address=str(wanted.ip), prefixlen=subnet.cidr.prefixlen)
    for other in present:
        is_former = other.ip == wanted.ip or other.ip not in subnet.cidr
        is_former |= subnet.name is None
        if is_own and other != wanted and is_former:
            prefix = other.network.prefixlen
            ip.addr("del", index=index, address=str(other.ip), prefixlen=prefix)


def _has_ipv6(ip: Any, index: int) -> bool:
    """Say whether somebody gave an interface an IPv6 address; a router's do not count."""
    return any(
        entry["scope"] == EVERYWHERE and entry.get_attr("IFA_FLAGS") & PERMANENT
        for entry in ip.get_addr(family=socket.AF_INET6, index=index)
    )
