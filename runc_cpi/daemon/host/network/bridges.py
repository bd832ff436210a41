"""The bridges of the subnets, each with the host's address in its subnet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import sha256
from ipaddress import IPv4Network, ip_interface
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from runc_cpi.daemon.host.network import ipv6, link_dump
from runc_cpi.daemon.host.network.link_dump import Link
from runc_cpi.daemon.host.network.links import alias_of, reason, remove
from runc_cpi.daemon.host.network.overlaps import overlap, own_networks
from runc_cpi.daemon.host.network.routes import FAMILIES, metric_of
from runc_cpi.daemon.host.network.vip_addresses import label_of
from runc_cpi.daemon.networks.model import Address, InterfaceAddress, Subnet

# RT_SCOPE_UNIVERSE; IFA_F_PERMANENT and IFA_F_NODAD, linux/if_addr.h
EVERYWHERE, PERMANENT, NO_DETECTION = 0, 0x80, 0x02
ALIAS = "runc-cpid bridge of "


class BridgeUnusable(Exception):
    """A bridge cannot be made or used as configured."""


class Bridges:
    """
    The bridges of one daemon; every method blocks.

    Each bridge that the daemon makes has an alias that names the daemon.  Others are the
    operator's: they are used, and never removed.

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
        failed: dict[Subnet, str] = {}
        wanted, before = on_bridges(subnets), on_bridges(known)
        self._remove_others(wanted)
        for name, there in wanted.items():
            if before.get(name) == there:
                continue
            try:
                self.ensure(name, there)
            except BridgeUnusable as error:
                failed |= dict.fromkeys(there, f"bridge: {error}")
        return failed

    def ensure(self, name: str, subnets: Collection[Subnet]) -> None:
        """
        Have a bridge, whatever others there are.

        @param subnets: all that have it.
        @raise BridgeUnusable: if its name belongs to something else, or the kernel refuses.
        """
        try:
            with IPRoute() as ip:
                self._ensure(ip, name, subnets)
        except (NetlinkError, OSError) as error:
            raise BridgeUnusable(f"{name}: {reason(error)}") from error

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

        def is_own_vip(address: Address, label: str | None) -> bool:
            is_reserved = any(address in kept for kept in subnet.reserved)
            return label == label_of(self.daemon) and is_reserved

        with IPRoute() as ip:
            return overlap(ip, subnet.cidr, own, metric, is_own_vip)

    def own_networks(self) -> set[IPv4Network]:
        """
        Return the networks of IPv4 of the host but those of the bridges of this daemon.

        @raise NetlinkError: if the kernel refuses to tell.
        @raise OSError: likewise.
        """
        own = {link.index for link in self.own()}
        with IPRoute() as ip:
            return own_networks(ip, own)

    def _ensure(self, ip: Any, name: str, subnets: Collection[Subnet]) -> None:
        """
        Make a bridge, unless it is there, and give it its addresses.

        IPv6 is turned off on it, unless it has an address of that kind.
        """
        link = self._ensure_link(ip, name)
        index, is_own = int(link["index"]), alias_of(link) == self._alias
        ipv6.ignore_routers(name)
        if any(subnet.version == 6 for subnet in subnets):
            if is_own:
                ipv6.settle_addresses(name)
            ipv6.turn_on(name)
        for version in FAMILIES:
            there = [subnet for subnet in subnets if subnet.version == version]
            _ensure_addresses(ip, index, version, there, is_own=is_own)
        if not _addresses(ip, index, 6):
            ipv6.turn_off(name)
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


def on_bridges(subnets: Collection[Subnet]) -> dict[str, list[Subnet]]:
    """Return the subnets by their bridges, in the order in which they come."""
    found: dict[str, list[Subnet]] = {}
    for subnet in subnets:
        found.setdefault(subnet.bridge, []).append(subnet)
    return found


def _ensure_addresses(
    ip: Any, index: int, version: int, subnets: Sequence[Subnet], *, is_own: bool
) -> None:
    """
    Give a bridge the host's addresses in its subnets of a kind of IP.

    A bridge of this daemon has no address of another subnet, which it had before.  But an
    address that was the gateway in the same configured subnet stays, for VMs use it.  So
    does one of IPv6 that somebody else gave it.

    @param is_own: whether the daemon made the bridge.
    """
    present = _addresses(ip, index, version)
    wanted = {subnet.interface: subnet for subnet in subnets}
    for address in wanted:
        if address not in present:
            _change(ip, "add", index, address)
    for other, is_ours in present.items():
        is_former = not any(
            subnet.name is not None and other.ip in subnet.cidr and other.ip != address.ip
            for address, subnet in wanted.items()
        )
        if is_own and is_ours and other not in wanted and is_former:
            _change(ip, "del", index, other)


def _addresses(ip: Any, index: int, version: int) -> dict[InterfaceAddress, bool]:
    """
    Return what somebody gave an interface, and of each whether that may be the daemon.

    What routers gave it does not count.
    """
    found = {}
    for entry in ip.get_addr(family=FAMILIES[version], index=index):
        address = entry.get_attr("IFA_LOCAL") or entry.get_attr("IFA_ADDRESS")
        flags = entry.get_attr("IFA_FLAGS")
        if version == 4 or (entry["scope"] == EVERYWHERE and flags & PERMANENT):
            interface = ip_interface((address, entry["prefixlen"]))
            found[interface] = version == 4 or bool(flags & NO_DETECTION)
    return found


def _change(ip: Any, change: str, index: int, address: InterfaceAddress) -> None:
    # Nobody else has it: it need not be looked for (RFC 4862, 5.4).
    flags = {"flags": NO_DETECTION} if address.version == 6 and change == "add" else {}
    prefix = address.network.prefixlen
    ip.addr(change, index=index, address=str(address.ip), prefixlen=prefix, **flags)
