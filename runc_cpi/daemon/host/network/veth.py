"""A VM's veth pairs: of each, one end is in the VM, the other on a subnet's bridge."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from pyroute2 import IPRoute

from runc_cpi.daemon.host.namespaces import CLONE_NEWNET, inside
from runc_cpi.daemon.host.network import filters, ipv6, link_dump, sysctls, vxlan
from runc_cpi.daemon.host.network.link_dump import Link
from runc_cpi.daemon.host.network.links import find, index_of, remove
from runc_cpi.daemon.networks.firewall import allowed_sources
from runc_cpi.daemon.networks.model import MOST_INTERFACES, Nic
from runc_cpi.daemon.networks.peers import NO_PEERS, Peering

ALIAS = "runc-cpid "
OWN_ALIAS = re.compile(ALIAS + r"(vm-[0-9a-f-]{36})")
DEFAULT_MTU = 1500  # bytes


def host_interface(vm_cid: str, number: int = 0) -> str:
    """
    Name the host's end of a VM's pair: at most 15 bytes, the same at each boot.

    @param number: that of the VM's interface.
    """
    name = f"{vm_cid} {number}" if number else vm_cid
    return "v" + sha256(name.encode()).hexdigest()[:12]


class VethPairs:
    """
    The veth pairs of the VMs; every method blocks.

    @param guarded: whether VMs may only send from their own addresses.
    @param peering: the peers of the configuration: what VMs send must fit the way there.
    """

    def __init__(self, *, guarded: bool, peering: Peering = NO_PEERS) -> None:
        self._guarded, self._peering = guarded, peering

    def connect(self, vm_cid: str, pid: int, nics: Sequence[Nic]) -> None:
        """
        Make a VM's pairs, and set up its ends in the network namespace of C{pid}.

        @raise NetlinkError: if the kernel refuses.
        @raise OSError: if the kernel refuses.
        """
        with IPRoute() as ip:
            _remove_pairs(ip, vm_cid)
            mtu = _uplink_mtu(ip)
            mtu = min(mtu, vxlan.least_mtu(ip, self._peering) or mtu)
            try:
                bridges = [_bridge(nic.bridge) for nic in nics]
                names = [host_interface(vm_cid, number) for number in range(len(nics))]
                ends = [
                    self._make_pair(ip, name, vm_cid, pid, nic, mtu)
                    for name, nic in zip(names, nics, strict=True)
                ]
                with inside(pid, CLONE_NEWNET), IPRoute() as within:
                    _set_up(within, nics)
                # A VM counts as connected once this is done.
                for index, bridge in zip(ends, bridges, strict=True):
                    ip.link("set", index=index, master=bridge)
            except BaseException:
                _remove_pairs(ip, vm_cid)
                raise

    def _make_pair(
        self, ip: Any, name: str, vm_cid: str, pid: int, nic: Nic, mtu: int
    ) -> int:
        """
        Make a pair, and return the index of the host's end, which is on no bridge yet.

        @param mtu: of an interface whose subnet has none of its own.
        """
        mtu = nic.mtu or mtu
        peer = {
            "ifname": nic.interface,
            "address": nic.mac,
            "mtu": mtu,
            "net_ns_pid": pid,
        }
        ip.link("add", ifname=name, kind="veth", mtu=mtu, peer=peer)
        index = index_of(name)
        ip.link("set", index=index, ifalias=f"{ALIAS}{vm_cid}")
        ipv6.turn_off(name)
        if self._guarded:
            filters.guard(ip, index, allowed_sources(nic), is_new=True)
        ip.link("set", index=index, state="up")
        return index

    def guard(self, vm_cid: str, nics: Sequence[Nic]) -> bool:
        """
        Let a connected VM send from its own addresses alone.

        @return: whether it could send from others until now.
        @raise NetlinkError: if the kernel refuses.
        @raise OSError: if the kernel refuses.
        """
        changed = False
        with IPRoute() as ip:
            for number, nic in enumerate(nics if self._guarded else ()):
                name = host_interface(vm_cid, number)
                index = index_of(name)
                ipv6.turn_off(name)
                changed |= filters.guard(ip, index, allowed_sources(nic))
        return changed

    def disconnect(self, vm_cid: str) -> None:
        """
        Remove a VM's pairs; it is no error if there are none.

        @raise NetlinkError: if the kernel refuses.
        """
        with IPRoute() as ip:
            _remove_pairs(ip, vm_cid)

    def connected(self, bridges: Iterable[Link]) -> dict[str, list[str]]:
        """
        Return the bridges that have an end of a pair of each VM that has any.

        @param bridges: those that count.
        @raise OSError: if the kernel refuses to tell.
        """
        found: dict[str, list[str]] = {}
        for bridge in bridges:
            for port in link_dump.ports(bridge.index):
                alias = OWN_ALIAS.fullmatch(port.alias)
                if alias is not None:
                    found.setdefault(alias[1], []).append(bridge.name)
        return found


def _bridge(name: str) -> int:
    found = find(name)
    if found is None:
        raise ValueError(f"there is no bridge {name}; runc-cpictl repair makes it again")
    return found


def host_interfaces(vm_cid: str) -> list[str]:
    """Name the host's ends of a VM's pairs that there are."""
    names = (host_interface(vm_cid, number) for number in range(MOST_INTERFACES))
    return [name for name in names if find(name) is not None]


def _remove_pairs(ip: Any, vm_cid: str) -> None:
    for name in host_interfaces(vm_cid):
        remove(ip, name)


def _set_up(ip: Any, nics: Sequence[Nic]) -> None:
    """
    Give interfaces their addresses and routes, and turn them on, and loopback as well.

    @param ip: an C{IPRoute} of the VM's network namespace, which this thread is in.
    """
    ip.link("set", index=index_of("lo"), state="up")
    for nic in nics:
        index = index_of(nic.interface)
        for address in nic.addresses:
            prefix = address.network.prefixlen
            ip.addr("add", index=index, address=str(address.ip), prefixlen=prefix)
        if any(block.version == 4 for block in nic.blocks):
            # Others of the subnet ask for the addresses of a block by ARP.
            sysctls.answer_for_others(nic.interface)
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
