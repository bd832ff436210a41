"""A VM's veth pair: one end in the VM, the other on the bridge of its subnet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from pyroute2 import IPRoute

from runc_cpi.daemon.host.namespaces import CLONE_NEWNET, inside
from runc_cpi.daemon.host.network import filters, ipv6
from runc_cpi.daemon.host.network.links import remove
from runc_cpi.daemon.networks.firewall import allowed_sources
from runc_cpi.daemon.networks.model import Nic

ALIAS = "runc-cpid "
OWN_ALIAS = re.compile(ALIAS + r"(vm-[0-9a-f-]{36})")
DEFAULT_MTU = 1500  # bytes


def host_interface(vm_cid: str) -> str:
    """Name the host's end of a VM's pair: at most 15 bytes, the same at each boot."""
    return "v" + sha256(vm_cid.encode()).hexdigest()[:12]


class VethPairs:
    """
    The veth pairs of the VMs on one bridge; every method blocks.

    A VM has one interface, as planned today: more than one is a L{ValueError}.

    @param bridge: the name of the bridge.
    @param guarded: whether VMs may only send from their own addresses.
    """

    def __init__(self, bridge: str, *, guarded: bool) -> None:
        self._bridge, self._guarded = bridge, guarded

    def connect(self, vm_cid: str, pid: int, nics: Sequence[Nic]) -> None:
        """
        Make a VM's pair, and set up its end in the network namespace of C{pid}.

        @raise NetlinkError: if the kernel refuses.
        @raise OSError: if the kernel refuses.
        """
        (nic,) = nics
        self._make_pair(vm_cid, pid, nic)
        with inside(pid, CLONE_NEWNET), IPRoute() as ip:
            _set_up(ip, nic)

    def _make_pair(self, vm_cid: str, pid: int, nic: Nic) -> None:
        """Make a pair; the host's end goes to the bridge when all else is done."""
        name = host_interface(vm_cid)
        with IPRoute() as ip:
            remove(ip, name)
            (bridge,) = ip.link_lookup(ifname=self._bridge)
            mtu = _uplink_mtu(ip)
            ip.link(
                "add",
                ifname=name,
                kind="veth",
                mtu=mtu,
                peer={
                    "ifname": nic.interface,
                    "address": nic.mac,
                    "mtu": mtu,
                    "net_ns_pid": pid,
                },
            )
            (index,) = ip.link_lookup(ifname=name)
            ip.link("set", index=index, ifalias=f"{ALIAS}{vm_cid}")
            ipv6.turn_off(name)
            if self._guarded:
                filters.guard(ip, index, allowed_sources(nic))
            ip.link("set", index=index, master=bridge, state="up")

    def guard(self, vm_cid: str, nics: Sequence[Nic]) -> bool:
        """
        Let a connected VM send from its own addresses alone.

        @return: whether it could send from others until now.
        @raise NetlinkError: if the kernel refuses.
        @raise OSError: if the kernel refuses.
        """
        if not self._guarded:
            return False
        (nic,) = nics
        name = host_interface(vm_cid)
        with IPRoute() as ip:
            (index,) = ip.link_lookup(ifname=name)
            ipv6.turn_off(name)
            return filters.guard(ip, index, allowed_sources(nic))

    def disconnect(self, vm_cid: str) -> None:
        """
        Remove a VM's pair; one that is gone is no error.

        @raise NetlinkError: if the kernel refuses.
        """
        with IPRoute() as ip:
            remove(ip, host_interface(vm_cid))

    def connected(self) -> set[str]:
        """
        Name the VMs that have a pair with one end on the bridge.

        @raise NetlinkError: if the kernel refuses to tell.
        """
        with IPRoute() as ip:
            (bridge,) = ip.link_lookup(ifname=self._bridge)
            links = ip.get_links()
        aliases = [
            OWN_ALIAS.fullmatch(str(link.get_attr("IFLA_IFALIAS") or ""))
            for link in links
            if link.get_attr("IFLA_MASTER") == bridge
        ]
        return {alias[1] for alias in aliases if alias is not None}


def _set_up(ip: Any, nic: Nic) -> None:
    """
    Give an interface its addresses and routes, and turn it on, and loopback as well.

    @param ip: an C{IPRoute} of the VM's network namespace.
    """
    (loopback,) = ip.link_lookup(ifname="lo")
    ip.link("set", index=loopback, state="up")
    (index,) = ip.link_lookup(ifname=nic.interface)
    for address in nic.addresses:
        prefix = address.network.prefixlen
        ip.addr("add", index=index, address=str(address.ip), prefixlen=prefix)
    ip.link("set", index=index, state="up")
    for route in nic.routes:
        ip.route("add", dst=str(route.destination), gateway=str(route.gateway))


def _uplink_mtu(ip: Any) -> int:
    """Return the MTU of the host's default route, which what VMs send must fit."""
    for route in ip.get_default_routes():
        index = route.get_attr("RTA_OIF")
        if index is not None:
            (link,) = ip.get_links(index)
            return int(link.get_attr("IFLA_MTU"))
    return DEFAULT_MTU
