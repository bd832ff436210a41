"""A VM's veth pairs: of each, one end is in the VM, the other on a subnet's bridge."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from ipaddress import ip_network

from runc_cpi.daemon.host.namespaces import CLONE_NEWNET, inside
from runc_cpi.daemon.host.network import (
    filters,
    ipv6,
    link_dump,
    rtnetlink,
    sysctls,
    vxlan,
)
from runc_cpi.daemon.host.network.link_dump import Link
from runc_cpi.daemon.host.network.links import find, index_of, remove
from runc_cpi.daemon.host.network.vm_routes import answer_by_source
from runc_cpi.daemon.networks.bridge_ports import no_port_left
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
    The veth pairs of the VMs; every method blocks, and is called in the host's namespace.

    @param guarded: whether VMs may only send from their own addresses.
    @param peering: the peers of the configuration: what VMs send must fit the way there.
    """

    def __init__(self, *, guarded: bool, peering: Peering = NO_PEERS) -> None:
        self._guarded, self._peering = guarded, peering
        self._ipv6: int | None = None

    def close(self) -> None:
        """Let go of what is open; nothing else is called afterwards."""
        if self._ipv6 is not None:
            os.close(self._ipv6)
            self._ipv6 = None

    def _turn_ipv6_off(self, name: str) -> None:
        if self._ipv6 is None:
            self._ipv6 = ipv6.settings()
        ipv6.turn_off(name, self._ipv6)

    def connect(self, vm_cid: str, pid: int, nics: Sequence[Nic]) -> None:
        """
        Make a VM's pairs, and set up its ends in the network namespace of C{pid}.

        @raise ValueError: if a bridge is not there, or has no port left.
        @raise OSError: if the kernel refuses.
        @raise NetlinkError: if it does not tell of the ways to peers.
        """
        _remove_pairs(vm_cid)
        mtu = _uplink_mtu()
        mtu = min(mtu, vxlan.least_mtu(self._peering) or mtu)
        try:
            bridges = [_bridge(nic.bridge) for nic in nics]
            names = [host_interface(vm_cid, number) for number in range(len(nics))]
            ends = [
                self._make_pair(name, vm_cid, pid, nic, mtu)
                for name, nic in zip(names, nics, strict=True)
            ]
            with inside(pid, CLONE_NEWNET):
                _set_up(nics)
            # A VM counts as connected once this is done.
            for index, bridge, nic in zip(ends, bridges, nics, strict=True):
                _join(index, bridge, nic.bridge)
        except BaseException:
            _remove_pairs(vm_cid)
            raise

    def _make_pair(self, name: str, vm_cid: str, pid: int, nic: Nic, mtu: int) -> int:
        """
        Make a pair, and return the index of the host's end, which is on no bridge yet.

        @param mtu: of an interface whose subnet has none of its own.
        """
        rtnetlink.make_pair(
            name, nic.interface, hardware=nic.mac, mtu=nic.mtu or mtu, pid=pid
        )
        index = index_of(name)
        self._turn_ipv6_off(name)
        if self._guarded:
            filters.guard(index, allowed_sources(nic), is_new=True)
        rtnetlink.turn_on(index, f"{ALIAS}{vm_cid}")
        return index

    def guard(self, vm_cid: str, nics: Sequence[Nic]) -> bool:
        """
        Let a connected VM send from its own addresses alone.

        @return: whether it could send from others until now.
        @raise OSError: if the kernel refuses.
        """
        changed = False
        for number, nic in enumerate(nics if self._guarded else ()):
            name = host_interface(vm_cid, number)
            index = index_of(name)
            self._turn_ipv6_off(name)
            changed |= filters.guard(index, allowed_sources(nic))
        return changed

    def disconnect(self, vm_cid: str) -> None:
        """
        Remove a VM's pairs; it is no error if there are none.

        @raise OSError: if the kernel refuses.
        """
        _remove_pairs(vm_cid)

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


def _join(index: int, bridge: int, name: str) -> None:
    """
    Make an interface a port of a bridge.

    @param bridge: its index. @param name: its name.
    @raise ValueError: if it has no port left.
    @raise OSError: if the kernel refuses for another reason.
    """
    try:
        rtnetlink.join(index, bridge)
    except OSError as error:
        if error.errno != errno.EXFULL:
            raise
        # The kernel calls that "exchange full".
        raise ValueError(no_port_left(name)) from error


def host_interfaces(vm_cid: str) -> list[str]:
    """Name the host's ends of a VM's pairs that there are."""
    names = (host_interface(vm_cid, number) for number in range(MOST_INTERFACES))
    return [name for name in names if find(name) is not None]


def _remove_pairs(vm_cid: str) -> None:
    for name in host_interfaces(vm_cid):
        remove(name)


def _set_up(nics: Sequence[Nic]) -> None:
    """
    Give interfaces their addresses and routes, and turn them on, and loopback as well.

    This thread is in the VM's network namespace.
    """
    rtnetlink.turn_on(index_of("lo"))
    for nic in nics:
        index = index_of(nic.interface)
        ipv6.ignore_routers(nic.interface)
        if any(address.version == 6 for address in nic.addresses):
            ipv6.settle_addresses(nic.interface)
            ipv6.turn_on(nic.interface)
        for address in nic.addresses:
            rtnetlink.add_address(index, address, with_route=address.version == 4)
        if any(block.version == 4 for block in nic.blocks):
            # Others of the subnet ask for the addresses of a block by ARP.
            sysctls.answer_for_others(nic.interface)
        rtnetlink.turn_on(index)
        for gateway in nic.gateways:
            if gateway.version == 6:
                # Nobody answers on the link for a block of another VM: the host knows it.
                rtnetlink.add_route(ip_network(gateway.ip), index=index)
                rtnetlink.add_route(gateway.network, gateway.ip)
        for route in nic.routes:
            rtnetlink.add_route(route.destination, route.gateway)
    answer_by_source(nics)


def _uplink_mtu() -> int:
    """Return the MTU of the host's default route, which what VMs send must fit."""
    index = next(rtnetlink.default_ways(), None)
    return DEFAULT_MTU if index is None else rtnetlink.mtu_of(index)
