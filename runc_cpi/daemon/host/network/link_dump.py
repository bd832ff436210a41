"""
Lists of interfaces that the kernel has filtered (rtnetlink(7)).

C{IPRoute.get_links} has the kernel tell of all interfaces, parses all that it says of each,
and filters then: with the interfaces of 300 VMs that took more than a second.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP, linux/netlink.h
_ERROR, _DONE = 2, 3  # NLMSG_*
_NEW_LINK, _GET_LINK = 16, 18  # RTM_*, linux/rtnetlink.h
_NAME, _MASTER, _INFO, _ALIAS, _MASK = 3, 10, 18, 20, 29  # IFLA_*, linux/if_link.h
_KIND = 1  # IFLA_INFO_KIND
_SKIP_STATISTICS = 8  # RTEXT_FILTER_SKIP_STATS
_BUFFER_BYTES = 1 << 16
_ALIGNMENT = 4


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
    kind = _attribute(_KIND, b"bridge\0")
    return [link for link in _dump(_attribute(_INFO, kind)) if link.kind == "bridge"]


def ports(bridge: int) -> list[Link]:
    """
    Return the ports of a bridge.

    @param bridge: its index.
    @raise OSError: if the kernel refuses to tell.
    """
    master = _attribute(_MASTER, struct.pack("=I", bridge))
    return [link for link in _dump(master) if link.master == bridge]


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % _ALIGNMENT)


def _dump(wanted: bytes) -> list[Link]:
    """
    Return the interfaces with an attribute.

    A kernel that does not know the filter tells of all.
    """
    mask = _attribute(_MASK, struct.pack("=I", _SKIP_STATISTICS))
    body = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + mask + wanted
    header = _HEADER.pack(_HEADER.size + len(body), _GET_LINK, _DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.bind((0, 0))
        kernel.send(header + body)
        return list(_answers(kernel))


def _answers(kernel: socket.socket) -> Iterator[Link]:
    while True:
        data = kernel.recv(_BUFFER_BYTES)
        offset = 0
        while offset < len(data):
            length, kind, *_ = _HEADER.unpack_from(data, offset)
            body = data[offset + _HEADER.size : offset + length]
            if kind == _DONE:
                return
            if kind == _ERROR:
                (number,) = struct.unpack_from("=i", body)
                raise OSError(-number, os.strerror(-number), "netlink")
            if kind == _NEW_LINK:
                yield _link(body)
            offset += length + -length % _ALIGNMENT


def _link(body: bytes) -> Link:
    attributes = dict(_attributes(body[_LINK.size :]))
    info = dict(_attributes(attributes.get(_INFO, b"")))
    return Link(
        index=_LINK.unpack_from(body)[2],
        name=_text(attributes.get(_NAME, b"")),
        kind=_text(info.get(_KIND, b"")),
        alias=_text(attributes.get(_ALIAS, b"")),
        master=int.from_bytes(attributes.get(_MASTER, b""), sys.byteorder),
    )


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        yield kind, data[offset + _ATTRIBUTE.size : offset + length]
        offset += max(length, _ATTRIBUTE.size) + -length % _ALIGNMENT


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "replace")
