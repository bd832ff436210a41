"""
Interfaces, addresses and routes, as each VM has them (rtnetlink(7)).

Each change is one message to the kernel.  C{pyroute2} takes several times as long for it,
and as long again for each socket.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface

from runc_cpi.daemon.host.network import netlink
from runc_cpi.daemon.host.network.netlink import NESTED, attribute, attributes
from runc_cpi.daemon.networks.model import Address, InterfaceAddress

# linux/rtnetlink.h
GET_LINK = 18  # RTM_GETLINK
LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_NEW_LINK, _DEL_LINK, _SET_LINK = 16, 17, 19  # RTM_*
_NEW_ADDRESS, _GET_ADDRESS, _NEW_ROUTE, _GET_ROUTE = 20, 22, 24, 26  # RTM_*
_ADDRESS = struct.Struct("=BBBBi")  # ifaddrmsg: family, prefix, flags, scope, index
_ROUTE = struct.Struct("=8BI")  # rtmsg: family, two prefixes, TOS, table, ...; flags
_MAIN_TABLE, _STATIC, _EVERYWHERE, _UNICAST = 254, 4, 0, 1  # RT_*, RTPROT_*, RTN_*
_DESTINATION, _WAY_OUT, _GATEWAY = 1, 4, 5  # RTA_*
# linux/if_link.h, linux/if.h, linux/if_addr.h, linux/veth.h, linux/if_bridge.h
_HARDWARE, _NAME, _MTU, _MASTER = 1, 3, 4, 10  # IFLA_*
_AS_PORT = 12  # IFLA_PROTINFO
_INFO, _NAMESPACE, _ALIAS = 18, 19, 20  # IFLA_*
_KIND, _DATA = 1, 2  # IFLA_INFO_*
_PEER = 1  # VETH_INFO_PEER
_REFLECTS = 4  # IFLA_BRPORT_MODE
_UP = 1  # IFF_UP
_REMOTE, _LOCAL, _LABEL = 1, 2, 3  # IFA_*
_ADDRESS_FLAGS = 8  # IFA_FLAGS
# IFA_F_*: nobody else has the address (RFC 4862, 5.4); no route to its network is made.
_NO_DETECTION, _NO_PREFIX_ROUTE = 0x02, 0x200


def change(kind: int, body: bytes, flags: int = 0) -> None:
    """
    Ask for a change.

    @param kind: the type of the message.
    @param flags: such as L{netlink.CREATE}.
    @raise OSError: if the kernel refuses.
    """
    netlink.request(socket.NETLINK_ROUTE, kind, body, flags)


def make_pair(name: str, peer: str, *, hardware: str, mtu: int, pid: int) -> None:
    """
    Make a veth pair; both ends are down.

    @param name: of the end that is here.
    @param peer: the name of the end that is in the network namespace of C{pid}.
    @param hardware: the hardware address of the peer.
    @param mtu: of both ends, in bytes.
    @raise OSError: if the kernel refuses.
    """
    other = b"".join(
        (
            _link(0),
            attribute(_NAME, _text(peer)),
            attribute(_HARDWARE, bytes.fromhex(hardware.replace(":", ""))),
            attribute(_MTU, _number(mtu)),
            attribute(_NAMESPACE, _number(pid)),
        )
    )
    data = attribute(_DATA | NESTED, attribute(_PEER | NESTED, other))
    info = attribute(_INFO | NESTED, attribute(_KIND, b"veth") + data)
    body = _link(0) + attribute(_NAME, _text(name)) + attribute(_MTU, _number(mtu)) + info
    change(_NEW_LINK, body, netlink.CREATE | netlink.EXCLUSIVE)


def turn_on(index: int, alias: str = "") -> None:
    """
    Turn an interface on.

    @param alias: what is noted about it, if anything.
    @raise OSError: if the kernel refuses.
    """
    noted = attribute(_ALIAS, alias.encode()) if alias else b""
    change(_SET_LINK, _link(index, _UP) + noted)


def join(index: int, bridge: int) -> None:
    """
    Make an interface a port of a bridge.

    @param bridge: its index.
    @raise OSError: if the kernel refuses.
    """
    change(_SET_LINK, _link(index) + attribute(_MASTER, _number(bridge)))


def reflect(index: int) -> None:
    """
    Let the bridge that an interface is on send frames back to where they came from.

    @raise OSError: if the kernel refuses.
    """
    mode = attribute(_AS_PORT | NESTED, attribute(_REFLECTS, b"\1"))
    change(_SET_LINK, _link(index, family=socket.AF_BRIDGE) + mode)


def remove_link(index: int) -> None:
    """
    Remove an interface.

    @raise OSError: if the kernel refuses; C{ENODEV} if it is gone.
    """
    change(_DEL_LINK, _link(index))


def add_address(index: int, address: InterfaceAddress, *, with_route: bool = True) -> None:
    """
    Give an interface an address, which it can use at once.

    @param with_route: whether its network is on the link.
    @raise OSError: if the kernel refuses.
    """
    packed = address.ip.packed
    flags = 0 if with_route else _NO_PREFIX_ROUTE
    flags |= _NO_DETECTION if address.version == 6 else 0
    body = _ADDRESS.pack(
        _family(address.version), address.network.prefixlen, 0, _EVERYWHERE, index
    )
    body += attribute(_LOCAL, packed) + attribute(_REMOTE, packed)
    body += attribute(_ADDRESS_FLAGS, _number(flags))
    change(_NEW_ADDRESS, body, netlink.CREATE | netlink.EXCLUSIVE)


def add_route(
    destination: IPv4Network | IPv6Network,
    gateway: Address | None = None,
    *,
    index: int | None = None,
) -> None:
    """
    Make a route.

    @param gateway: the next hop, or L{None} for what is on the link.
    @param index: of the interface, where the next hop does not tell.
    @raise OSError: if the kernel refuses.
    """
    body = _ROUTE.pack(
        _family(destination.version),
        destination.prefixlen,
        *(0, 0, _MAIN_TABLE, _STATIC, _EVERYWHERE, _UNICAST, 0),
    )
    if destination.prefixlen:
        body += attribute(_DESTINATION, destination.network_address.packed)
    if gateway is not None:
        body += attribute(_GATEWAY, gateway.packed)
    if index is not None:
        body += attribute(_WAY_OUT, _number(index))
    change(_NEW_ROUTE, body, netlink.CREATE | netlink.EXCLUSIVE)


def addresses(version: int) -> Iterator[tuple[InterfaceAddress, int, str | None]]:
    """
    Return all addresses of the host, with the interface and the label of each.

    @param version: the kind of IP, 4 or 6.
    @raise OSError: if the kernel refuses to tell.
    """
    question = _ADDRESS.pack(_family(version), 0, 0, 0, 0)
    for message in netlink.dump(socket.NETLINK_ROUTE, _GET_ADDRESS, question):
        _, prefix, _, _, index = _ADDRESS.unpack_from(message)
        parts = dict(attributes(message[_ADDRESS.size :]))
        address = ip_address(parts.get(_LOCAL) or parts[_REMOTE])
        label = parts.get(_LABEL)
        text = None if label is None else label.rstrip(b"\0").decode("utf-8", "replace")
        yield ip_interface((address, prefix)), index, text


def default_ways() -> Iterator[int]:
    """
    Return the interfaces that default routes leave by, the one that is taken first.

    @raise OSError: if the kernel refuses to tell.
    """
    question = _ROUTE.pack(socket.AF_UNSPEC, *[0] * 8)
    for message in netlink.dump(socket.NETLINK_ROUTE, _GET_ROUTE, question):
        _, prefix, _, _, table, *_ = _ROUTE.unpack_from(message)
        way = dict(attributes(message[_ROUTE.size :])).get(_WAY_OUT)
        if table == _MAIN_TABLE and prefix == 0 and way is not None:
            yield int.from_bytes(way, sys.byteorder)


def mtu_of(index: int) -> int:
    """
    Return the MTU of an interface, in bytes.

    @raise OSError: if it is gone.
    """
    answer = netlink.ask(socket.NETLINK_ROUTE, GET_LINK, _link(index))
    parts = dict(attributes(answer[LINK.size :]))
    return int.from_bytes(parts[_MTU], sys.byteorder)


def _link(index: int, flags: int = 0, *, family: int = socket.AF_UNSPEC) -> bytes:
    """Return the beginning of a message; only flags that are given are changed."""
    return LINK.pack(family, 0, index, flags, flags)


def _family(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6


def _text(text: str) -> bytes:
    return text.encode("ascii") + b"\0"


def _number(number: int) -> bytes:
    return struct.pack("=I", number)
