"""
Flows that the kernel tracks (linux/netfilter/nfnetlink_conntrack.h).

Only the first packet of a flow is looked up in the maps of published ports, and of
addresses that VMs have.  All further ones go where that one went, for as long as they keep
coming.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from runc_cpi.daemon.host.network import netlink
from runc_cpi.daemon.host.network.sockets import KernelSockets
from runc_cpi.daemon.networks.model import Address
from runc_cpi.daemon.networks.rules import Redirection

PROTOCOL = "udp"
# More ports than this are looked for at once, among all flows of UDP: with 100,000 of them
# that took 3 s, and a question for one port 50 ms.
MOST_QUESTIONS = 64
_GET, _DELETE = 0x101, 0x102  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_*
_FAMILIES = {  # nfgenmsg
    version: struct.pack("=BBH", family, 0, 0)
    for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6))
}
ORIGINAL, REPLY, _ID, _FILTER = 1, 2, 12, 25  # CTA_*
_IP, _PROTO = 1, 2  # CTA_TUPLE_*
_SOURCE, _DESTINATION = {4: 1, 6: 3}, {4: 2, 6: 4}  # CTA_IP_V4_*, CTA_IP_V6_*
_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3  # CTA_PROTO_*
# Which parts of a tuple are looked at: CTA_FILTER_FLAG, net/netfilter/nf_internals.h.
_BY_DESTINATION, _BY_NUMBER, _BY_PORT = 1 << 1, 1 << 3, 1 << 5

Place = tuple[Address, int]


@dataclass(frozen=True, kw_only=True)
class Flow:
    """
    A flow; ports are 0 if its protocol has none.

    @ivar protocol: the number of its protocol.
    @ivar sender: where its packets come from.
    @ivar asked: the address and the port that its packets are sent to.
    @ivar led: the address and the port that they are led to.
    @ivar seen: where they seem to come from there.
    @ivar name: the attributes that name it to the kernel.
    """

    protocol: int
    sender: Place
    asked: Place
    led: Place
    seen: Place
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
    for version in _FAMILIES:
        _correct(_udp(gone, version), _udp(come, version), _udp(now, version), version)


def _correct(
    gone: Collection[Redirection],
    come: Collection[Redirection],
    now: Collection[Redirection],
    version: int,
) -> None:
    """Do what L{correct} does for one kind of IP, 4 or 6."""
    ports = {redirection.port for redirection in (*gone, *come)}
    if not ports:
        return
    left = {(r.vm_address, r.vm_port) for r in gone}
    wanted = {
        (r.address, r.port): (r.vm_address, r.vm_port) for r in now if r.port in ports
    }
    flows = _flows(ports, version)
    local = set(filter(KernelSockets().is_local, {flow.asked[0] for flow in flows}))
    for flow in flows:
        if flow.asked[0] in local and _is_stale(flow, wanted, left):
            forget(flow)


def _udp(redirections: Collection[Redirection], version: int) -> list[Redirection]:
    return [
        each
        for each in redirections
        if each.protocol == PROTOCOL and each.vm_address.version == version
    ]


def _is_stale(
    flow: Flow,
    wanted: Mapping[tuple[Address | None, int], Place],
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


def _flows(ports: Collection[int], version: int) -> list[Flow]:
    """
    Return the flows to some ports.

    The kernel chooses them, unless there are many ports; one before Linux 5.8 returns all.
    """
    flows = []
    for port in sorted(ports) if len(ports) <= MOST_QUESTIONS else [None]:
        asked = ports if port is None else {port}
        for flow in _chosen(version, ORIGINAL, *_by_port(port)):
            if flow.protocol == socket.IPPROTO_UDP and flow.asked[1] in asked:
                flows.append(flow)
    return flows


def flows_to(address: Address, packets: int) -> Iterator[Flow]:
    """
    Return the flows some of whose packets are sent to an address.

    @param packets: L{ORIGINAL}, or L{REPLY} for those that answer.
    @raise OSError: if the kernel refuses.
    """
    ip = netlink.attribute(_DESTINATION[address.version], address.packed)
    tuple_ = netlink.attribute(_IP | netlink.NESTED, ip)
    for flow in _chosen(address.version, packets, tuple_, _BY_DESTINATION):
        place = flow.asked if packets == ORIGINAL else flow.seen
        if place[0] == address:
            yield flow


def _by_port(port: int | None) -> tuple[bytes, int]:
    """Return what chooses flows of UDP, to one port or to any."""
    proto = netlink.attribute(_NUMBER, bytes([socket.IPPROTO_UDP]))
    flags = _BY_NUMBER
    if port is not None:
        proto += netlink.attribute(_DESTINATION_PORT, struct.pack("!H", port))
        flags |= _BY_PORT
    return netlink.attribute(_PROTO | netlink.NESTED, proto), flags


def _chosen(version: int, packets: int, tuple_: bytes, flags: int) -> Iterator[Flow]:
    """
    Return the flows whose packets are as a tuple says.

    The kernel chooses them; one before Linux 5.8 returns all.

    @param version: of a kind of IP, 4 or 6.
    @param packets: L{ORIGINAL} or L{REPLY}.
    @param flags: which parts of the tuple are looked at.
    """
    # CTA_FILTER_ORIG_FLAGS and CTA_FILTER_REPLY_FLAGS have the numbers of the tuples.
    flagged = netlink.attribute(packets, struct.pack("=I", flags))
    question = netlink.attribute(packets | netlink.NESTED, tuple_) + netlink.attribute(
        _FILTER | netlink.NESTED, flagged
    )
    for message in netlink.dump(netlink.NETFILTER, _GET, _FAMILIES[version] + question):
        yield _flow(message)


def _flow(message: bytes) -> Flow:
    """Read what the kernel says of a flow."""
    parts = dict(netlink.attributes(message[len(_FAMILIES[4]) :]))
    original = parts[ORIGINAL]
    protocol, sender, asked = _ends(original)
    _, led, seen = _ends(parts[REPLY])
    name = netlink.attribute(ORIGINAL | netlink.NESTED, original)
    name += netlink.attribute(_ID, parts[_ID])
    return Flow(
        protocol=protocol, sender=sender, asked=asked, led=led, seen=seen, name=name
    )


def _ends(tuple_: bytes) -> tuple[int, Place, Place]:
    """Return the number of the protocol, and both ends of what a tuple says of packets."""
    parts = dict(netlink.attributes(tuple_))
    ip, proto = (dict(netlink.attributes(parts[kind])) for kind in (_IP, _PROTO))
    # Protocols without ports have none.
    version = 4 if _SOURCE[4] in ip else 6
    source, destination = (
        (ip_address(ip[address[version]]), int.from_bytes(proto.get(port, b""), "big"))
        for address, port in ((_SOURCE, _SOURCE_PORT), (_DESTINATION, _DESTINATION_PORT))
    )
    return proto[_NUMBER][0], source, destination


def forget(flow: Flow) -> None:
    """
    Have the kernel look up the next packet of a flow in the rules.

    @raise OSError: if the kernel refuses.
    """
    try:
        netlink.request(
            netlink.NETFILTER, _DELETE, _FAMILIES[flow.sender[0].version] + flow.name
        )
    except OSError as error:
        # It ended by itself.
        if error.errno != errno.ENOENT:
            raise
