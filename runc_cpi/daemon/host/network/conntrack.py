"""
Flows of UDP that the kernel tracks (linux/netfilter/nfnetlink_conntrack.h).

Only the first packet of a flow is looked up in the maps of published ports.  All further
ones go where that one went, for as long as they keep coming.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from runc_cpi.daemon.host.network import netlink
from runc_cpi.daemon.host.network.sockets import KernelSockets
from runc_cpi.daemon.networks.rules import Redirection

PROTOCOL = "udp"
# More ports than this are looked for at once, among all flows of UDP: with 100,000 of them
# that took 3 s, and a question for one port 50 ms.
MOST_QUESTIONS = 64
NETLINK_NETFILTER = 12  # linux/netlink.h
_GET, _DELETE = 0x101, 0x102  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_*
_FAMILY = struct.pack("=BBH", socket.AF_INET, 0, 0)  # nfgenmsg
_ORIGINAL, _REPLY, _ID, _FILTER = 1, 2, 12, 25  # CTA_*
_IP, _PROTO = 1, 2  # CTA_TUPLE_*
_SOURCE, _DESTINATION = 1, 2  # CTA_IP_V4_*
_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3  # CTA_PROTO_*
_FLAGS = 1  # CTA_FILTER_ORIG_FLAGS
# Which parts of the tuple are looked at: CTA_FILTER_FLAG, net/netfilter/nf_internals.h.
_BY_NUMBER, _BY_PORT = 1 << 3, 1 << 5

Place = tuple[IPv4Address, int]


@dataclass(frozen=True, kw_only=True)
class Flow:
    """
    A flow of UDP.

    @ivar asked: the address and the port that its packets are sent to.
    @ivar led: the address and the port that they are led to.
    @ivar name: the attributes that name it to the kernel.
    """

    asked: Place
    led: Place
    name: bytes


def correct(
    gone: Collection[Redirection],
    come: Collection[Redirection],
    now: Collection[Redirection],
) -> None:
    """
    Forget the flows that lead elsewhere than rules say that were just changed.

    The next packet of such a flow is looked up in the rules.

    @param gone: published ports that there were before.
    @param come: those that may not have been there before.
    @param now: all that there are.
    @raise OSError: if the kernel refuses.
    """
    ports = {redirection.port for redirection in (*_udp(gone), *_udp(come))}
    if not ports:
        return
    left = {(r.vm_address, r.vm_port) for r in _udp(gone)}
    wanted = {(r.address, r.port): (r.vm_address, r.vm_port) for r in _udp(now)}
    flows = _flows(ports)
    local = set(filter(KernelSockets().is_local, {flow.asked[0] for flow in flows}))
    for flow in flows:
        if flow.asked[0] in local and _is_stale(flow, wanted, left):
            _delete(flow)


def _udp(redirections: Collection[Redirection]) -> list[Redirection]:
    return [each for each in redirections if each.protocol == PROTOCOL]


def _is_stale(
    flow: Flow,
    wanted: Mapping[tuple[IPv4Address | None, int], Place],
    left: Collection[Place],
) -> bool:
    """
    Say whether a flow to the host leads elsewhere than it is to.

    @param wanted: what ports lead to, by the address they are published at, and the port.
    @param left: what ports no longer lead to.
    """
    address, port = flow.asked
    place = wanted.get((address, port), wanted.get((None, port)))
    return flow.led in left if place is None else flow.led != place


def _flows(ports: Collection[int]) -> list[Flow]:
    """
    Return the flows to some ports.

    The kernel chooses them, unless there are many ports; one before Linux 5.8 returns all.
    """
    flows = []
    for port in sorted(ports) if len(ports) <= MOST_QUESTIONS else [None]:
        for message in netlink.dump(NETLINK_NETFILTER, _GET, _FAMILY + _chosen(port)):
            flow = _flow(message, ports if port is None else {port})
            if flow is not None:
                flows.append(flow)
    return flows


def _chosen(port: int | None) -> bytes:
    """Return the attributes that choose flows of UDP, to one port or to any."""
    proto = netlink.attribute(_NUMBER, bytes([socket.IPPROTO_UDP]))
    flags = _BY_NUMBER
    if port is not None:
        proto += netlink.attribute(_DESTINATION_PORT, struct.pack("!H", port))
        flags |= _BY_PORT
    tuple_ = netlink.attribute(_PROTO | netlink.NESTED, proto)
    flagged = netlink.attribute(_FLAGS, struct.pack("=I", flags))
    return netlink.attribute(_ORIGINAL | netlink.NESTED, tuple_) + netlink.attribute(
        _FILTER | netlink.NESTED, flagged
    )


def _flow(message: bytes, ports: Collection[int]) -> Flow | None:
    """Read what the kernel says of a flow; return L{None} if it is not to these ports."""
    parts = dict(netlink.attributes(message[len(_FAMILY) :]))
    original = parts[_ORIGINAL]
    kind, asked = _place(original, _DESTINATION, _DESTINATION_PORT)
    if kind != socket.IPPROTO_UDP or asked[1] not in ports:
        return None
    _, led = _place(parts[_REPLY], _SOURCE, _SOURCE_PORT)
    name = netlink.attribute(_ORIGINAL | netlink.NESTED, original)
    name += netlink.attribute(_ID, parts[_ID])
    return Flow(asked=asked, led=led, name=name)


def _place(tuple_: bytes, address: int, port: int) -> tuple[int, Place]:
    """Return the number of the protocol, and one end of what a tuple says of packets."""
    parts = dict(netlink.attributes(tuple_))
    ip, proto = (dict(netlink.attributes(parts[kind])) for kind in (_IP, _PROTO))
    # Protocols without ports have none.
    number = int.from_bytes(proto.get(port, b""), "big")
    return proto[_NUMBER][0], (IPv4Address(ip[address]), number)


def _delete(flow: Flow) -> None:
    try:
        netlink.request(NETLINK_NETFILTER, _DELETE, _FAMILY + flow.name)
    except OSError as error:
        # It ended by itself.
        if error.errno != errno.ENOENT:
            raise
