"""Which processes of the host take connections or datagrams, and at which ports."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from twisted.internet.threads import deferToThread
from zope.interface import implementer

from runc_cpi.daemon.host.network import netlink
from runc_cpi.daemon.host.network.sockets import (
    DIAG_REQUEST,
    NETLINK_SOCK_DIAG,
    NUMBERS,
    SOCK_DIAG_BY_FAMILY,
    KernelSockets,
)
from runc_cpi.daemon.networks.interfaces import IHostPorts
from runc_cpi.daemon.networks.model import Address
from runc_cpi.daemon.networks.ports import PublishedPort
from runc_cpi.errors import CloudError

# linux/inet_diag.h
INET_DIAG_SKV6ONLY = 11
# linux/tcp_states.h: of one that listens, and of a socket of UDP that is not connected.
TCP_CLOSE, TCP_LISTEN = 7, 10
SOCKET_ID = struct.Struct("!HH16s16s")
MESSAGE_SIZE = 72  # struct inet_diag_msg
KINDS = {
    "tcp": (socket.IPPROTO_TCP, 1 << TCP_LISTEN),
    "udp": (socket.IPPROTO_UDP, 1 << TCP_CLOSE),
}


@dataclass(frozen=True, kw_only=True)
class Listener:
    """
    A socket.

    @ivar address: where it takes what comes, or L{None} if at all addresses.
    @ivar versions: the kinds of IP that it takes: 4, 6 or both.
    @ivar inode: names it in C{/proc}.
    """

    address: Address | None
    versions: frozenset[int]
    port: int
    inode: int


@dataclass(frozen=True, kw_only=True)
class Process:
    """
    A process of this host.

    @ivar name: as proc(5) has it in C{comm}.
    """

    pid: int
    name: str


@implementer(IHostPorts)
class HostPorts:
    """Asks the kernel for all sockets that listen, in a thread."""

    async def user(self, port: PublishedPort, versions: Collection[int]) -> str | None:
        """
        Name a process of the host that one of these ports leads to now, if there is one.

        @param versions: the kinds of IP, 4 and 6, that are to lead elsewhere.
        @raise CloudError: if the kernel refuses to tell.
        """
        try:
            return await deferToThread(_user, port, versions)
        except OSError as error:
            raise CloudError(f"which ports the host has in use: {error}") from error

    def is_local(self, address: Address) -> bool:
        """Say whether an address is one of this host's own."""
        return KernelSockets().is_local(address)


def _user(port: PublishedPort, versions: Collection[int]) -> str | None:
    for listener in listeners(port.protocol):
        is_there = listener.address is None or port.is_at(listener.address)
        is_there &= not listener.versions.isdisjoint(versions)
        if port.first <= listener.port <= port.last and is_there:
            process = owner(listener.inode)
            if process is None:
                return "a process of this host"
            return f"process {process.pid} ({process.name}) of this host"
    return None


def listeners(protocol: str) -> Iterator[Listener]:
    """
    Return the sockets that take what comes.

    @param protocol: C{tcp} or C{udp}.
    @raise OSError: if the kernel refuses.
    """
    number, states = KINDS[protocol]
    for family in (socket.AF_INET, socket.AF_INET6):
        question = DIAG_REQUEST.pack(family, number, 0, states) + bytes(48)
        for message in netlink.dump(NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, question):
            yield _listener(message)


def _listener(message: bytes) -> Listener:
    """Read a C{struct inet_diag_msg}."""
    port, _, source, _ = SOCKET_ID.unpack_from(message, 4)
    *_, inode = NUMBERS.unpack_from(message, 52)
    if message[0] == socket.AF_INET:
        address: Address = IPv4Address(source[:4])
    else:
        whole = IPv6Address(source)
        address = whole.ipv4_mapped or whole
    versions = {address.version}
    if address.is_unspecified and address.version == 6 and not _is_ipv6_only(message):
        versions.add(4)
    return Listener(
        address=None if address.is_unspecified else address,
        versions=frozenset(versions),
        port=port,
        inode=inode,
    )


def _is_ipv6_only(message: bytes) -> bool:
    found = dict(netlink.attributes(message[MESSAGE_SIZE:]))
    return found.get(INET_DIAG_SKV6ONLY, b"") == b"\1"


def owner(inode: int) -> Process | None:
    """Return a process that has a socket, or L{None} if that cannot be told (proc(5))."""
    wanted = f"socket:[{inode}]"
    for directory in Path("/proc").glob("[0-9]*"):
        # Processes end meanwhile.
        with suppress(OSError):
            for descriptor in os.scandir(directory / "fd"):
                if os.readlink(descriptor) == wanted:
                    name = (directory / "comm").read_text("utf-8", "replace").strip()
                    return Process(pid=int(directory.name), name=name)
    return None
