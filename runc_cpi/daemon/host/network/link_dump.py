"""
Lists of interfaces that the kernel has filtered (rtnetlink(7)).

C{IPRoute.get_links} has the kernel tell of all interfaces, parses all that it says of each,
and filters then: with the interfaces of 300 VMs that took more than a second.
"""

from __future__ import annotations

import socket
import struct
import sys
from dataclasses import dataclass

from runc_cpi.daemon.host.network.netlink import attribute, attributes, dump
from runc_cpi.daemon.host.network.rtnetlink import GET_LINK, LINK

_NAME, _MASTER, _INFO, _ALIAS, _MASK = 3, 10, 18, 20, 29  # IFLA_*, linux/if_link.h
_KIND = 1  # IFLA_INFO_KIND
_SKIP_STATISTICS = 8  # RTEXT_FILTER_SKIP_STATS


@dataclass(frozen=True, kw_only=True)
class Link:
    """
    An interface.

    @ivar kind: such as C{bridge}; nothing for one of hardware.
    @ivar alias: what somebody noted about it, or nothing.
    @ivar master: the index of the bridge that it is a port of, or 0.
    """

    index: int
    name: str
    kind: str
    alias: str
    master: int


def bridges() -> list[Link]:
    """
    Return all bridges.

    @raise OSError: if the kernel refuses to tell.
    """
    kind = attribute(_KIND, b"bridge\0")
    return [link for link in _dump(attribute(_INFO, kind)) if link.kind == "bridge"]


def ports(bridge: int) -> list[Link]:
    """
    Return the ports of a bridge.

    @param bridge: its index.
    @raise OSError: if the kernel refuses to tell.
    """
    master = attribute(_MASTER, struct.pack("=I", bridge))
    return [link for link in _dump(master) if link.master == bridge]


def _dump(wanted: bytes) -> list[Link]:
    """
    Return the interfaces with an attribute.

    A kernel that does not know the filter tells of all.
    """
    mask = attribute(_MASK, struct.pack("=I", _SKIP_STATISTICS))
    body = LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + mask + wanted
    return [_link(answer) for answer in dump(socket.NETLINK_ROUTE, GET_LINK, body)]


def _link(body: bytes) -> Link:
    parts = dict(attributes(body[LINK.size :]))
    info = dict(attributes(parts.get(_INFO, b"")))
    return Link(
        index=LINK.unpack_from(body)[2],
        name=_text(parts.get(_NAME, b"")),
        kind=_text(info.get(_KIND, b"")),
        alias=_text(parts.get(_ALIAS, b"")),
        master=int.from_bytes(parts.get(_MASTER, b""), sys.byteorder),
    )


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "replace")
