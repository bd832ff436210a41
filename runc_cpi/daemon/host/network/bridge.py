"""The bridge of a subnet, which has the host's address in it."""

from __future__ import annotations

import socket
from hashlib import sha256
from ipaddress import IPv4Interface
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from runc_cpi.daemon.host.network import filters, ipv6
from runc_cpi.daemon.host.network.links import reason, remove
from runc_cpi.daemon.host.network.veth import host_interface
from runc_cpi.daemon.networks.firewall import AllowedSources
from runc_cpi.daemon.networks.model import hardware_address

EVERYWHERE, PERMANENT = 0, 0x80  # RT_SCOPE_UNIVERSE, IFA_F_PERMANENT: linux/if_addr.h


class BridgeUnusable(Exception):
    """The bridge cannot be made or used as configured."""


class Bridge:
    """
    A bridge; every method blocks.

    @ivar name: its interface name.
    @ivar guarded: whether VMs may only send from their own addresses.
    """

    def __init__(self, name: str, gateway: IPv4Interface, *, guarded: bool) -> None:
        """
        @param gateway: the host's address in the subnet, with the subnet's size.
        """
        self.name, self.guarded, self._gateway = name, guarded, gateway

    def ensure(self) -> None:
        """
        Make the bridge, unless it is there, and give it its address.

        IPv6 is turned off on it, unless somebody gave it an address of that kind.

        @raise BridgeUnusable: if the name belongs to something else, or the kernel
            refuses.
        """
        try:
            with IPRoute() as ip:
                index = self._ensure_link(ip)
                self._ensure_address(ip, index)
                ipv6.ignore_routers(self.name)
                if not _has_ipv6(ip, index):
                    ipv6.turn_off(self.name)
                ip.link("set", index=index, state="up")
                if self.guarded:
                    self._try_guarding(ip)
        except (NetlinkError, OSError) as error:
            raise BridgeUnusable(f"{self.name}: {reason(error)}") from error

    def _ensure_link(self, ip: Any) -> int:
        """Make the interface, unless it is there, and return its index."""
        found = ip.link_lookup(ifname=self.name)
        if not found:
            # Without an address of its own a bridge takes that of a port, and changes
            # it as ports come and go.
            digest = sha256(self.name.encode()).hexdigest()
            hardware = ":".join(["02", *(digest[i : i + 2] for i in range(0, 10, 2))])
            ip.link("add", ifname=self.name, kind="bridge", address=hardware)
            found = ip.link_lookup(ifname=self.name)
        (link,) = ip.get_links(found[0])
        info = link.get_attr("IFLA_LINKINFO")
        kind = info.get_attr("IFLA_INFO_KIND") if info else None
        if kind != "bridge":
            raise BridgeUnusable(f"{self.name}: there is such an interface, no bridge")
        return int(found[0])

    def _ensure_address(self, ip: Any, index: int) -> None:
        address, prefix = str(self._gateway.ip), self._gateway.network.prefixlen
        if not any(
            entry.get_attr("IFA_LOCAL") == address for entry in ip.get_addr(index=index)
        ):
            ip.addr("add", index=index, address=address, prefixlen=prefix)

    def _try_guarding(self, ip: Any) -> None:
        """Find out, with a pair that goes again, whether this kernel can do it."""
        address = self._gateway.ip
        name = host_interface(f"trial of {self.name}")
        remove(ip, name)
        try:
            ip.link("add", ifname=name, kind="veth", peer={"ifname": f"{name}p"})
            (index,) = ip.link_lookup(ifname=name)
            sources = AllowedSources(mac=hardware_address(address), addresses=(address,))
            filters.guard(ip, index, sources)
        except (NetlinkError, OSError) as error:
            raise BridgeUnusable(
                f"{self.name}: what VMs send cannot be filtered here: {reason(error)}; the "
                "kernel needs bpf, sch_ingress and cls_bpf, or let VMs send from any "
                "address with security.anti_spoofing: false"
            ) from error
        finally:
            remove(ip, name)


def _has_ipv6(ip: Any, index: int) -> bool:
    """Say whether somebody gave an interface an IPv6 address; a router's do not count."""
    return any(
        entry["scope"] == EVERYWHERE and entry.get_attr("IFA_FLAGS") & PERMANENT
        for entry in ip.get_addr(family=socket.AF_INET6, index=index)
    )
