"""Flows by addresses of the host that VMs have, after one was given to another VM."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Address

from runc_cpi.daemon.host.network import conntrack
from runc_cpi.daemon.host.network.conntrack import Flow
from runc_cpi.daemon.networks.model import Address
from runc_cpi.daemon.networks.rules import Vip

# The addresses of VMs, by those of the host that lead to them.
Places = Mapping[Address, Address]


def places(vips: Collection[Vip]) -> Places:
    """Return where addresses of the host lead to."""
    return {vip.address: vip.vm_address for vip in vips}


def correct(before: Places, after: Places, *, afresh: bool) -> None:
    """
    Forget the flows that lead elsewhere than rules say that were just changed.

    @param afresh: whether flows of addresses that did not move are not known to be right.
    @raise OSError: if the kernel refuses.
    """
    for address in before.keys() | after.keys():
        moved = before.get(address) != after.get(address)
        if isinstance(address, IPv4Address) and (moved or afresh):
            for flow in list(_stale(address, before.get(address), after.get(address))):
                conntrack.forget(flow)


def _stale(
    address: IPv4Address, former: Address | None, now: Address | None
) -> Iterator[Flow]:
    """
    Return the flows to an address that are to lead elsewhere, and those that left by it.

    @param former: the address of the VM that had it, or L{None}.
    @param now: that of the VM that has it, or L{None}.
    """
    for flow in conntrack.flows_to(address, conntrack.ORIGINAL):
        led = flow.led[0]
        # A connection to the host itself goes on until it ends.
        if led == former != now or (now not in (None, led) and not _is_the_hosts(flow)):
            yield flow
    for flow in conntrack.flows_to(address, conntrack.REPLY):
        if flow.sender[0] == former != now:
            yield flow


def _is_the_hosts(flow: Flow) -> bool:
    return flow.protocol == socket.IPPROTO_TCP and flow.led == flow.asked
