"""The kernel tells whose the other end of a connection is."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from runc_cpi.daemon.entrance.interfaces import ISockets
from runc_cpi.daemon.host.network.sockets import KernelSockets

SOCKETS = KernelSockets()
# Another user; root alone can make sockets as one.
SOMEBODY = os.geteuid() or 54321
AT_ONCE = struct.pack("ii", 1, 0)  # socket(7), SO_LINGER: reset, with nothing sent


def socket_of(uid: int, family: int = socket.AF_INET) -> socket.socket:
    """Make a socket as a process of that user does."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(uid)
    try:
        return socket.socket(family)
    finally:
        os.seteuid(own)


@contextmanager
def connected(
    uid: int, listen: str = "127.0.0.1", to: str = "127.0.0.1"
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Connect, and return both ends: that user's, and the one that was accepted."""
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    with socket.socket(family) as listener:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((listen, 0))
        listener.listen()
        client = socket_of(uid, socket.AF_INET6 if ":" in to else socket.AF_INET)
        with client:
            client.connect((to, listener.getsockname()[1]))
            accepted, _ = listener.accept()
            with accepted:
                yield client, accepted


def owner(accepted: socket.socket, peer: Any = None) -> int | None:
    """Ask about the other end."""

    def plain(name: Any) -> tuple[Any, int]:
        address = ip_address(name[0])
        return getattr(address, "ipv4_mapped", None) or address, name[1]

    theirs, own = plain(peer or accepted.getpeername()), plain(accepted.getsockname())
    return SOCKETS.owner(*theirs, *own)


def test_interface() -> None:
    """KernelSockets has the interface that the entrance asks for."""
    verifyObject(ISockets, SOCKETS)


WAYS = [
    ("127.0.0.1", "127.0.0.1"),
    ("0.0.0.0", "127.3.2.1"),
    ("::1", "::1"),
    ("::", "::1"),
    ("::", "127.0.0.1"),
    ("::", "::ffff:127.0.0.1"),
]


@pytest.mark.parametrize("uid", [0, SOMEBODY])
@pytest.mark.parametrize(("listen", "to"), WAYS)
def test_owner(uid: int, listen: str, to: str) -> None:
    """The owner is the user who made the socket, by addresses of both families."""
    with connected(uid, listen, to) as (_, accepted):
        assert owner(accepted) == (uid or os.geteuid())


@pytest.mark.parametrize("linger", [False, True])
def test_closed(linger: bool) -> None:
    """A closed socket has no owner, though the kernel calls it root's."""
    with connected(SOMEBODY) as (client, accepted):
        peer = client.getsockname()
        if linger:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        client.sendall(b"x")
        client.close()
        assert owner(accepted, peer) is None


def test_half_closed() -> None:
    """A peer that has ended its output still has an owner."""
    with connected(SOMEBODY) as (client, accepted):
        client.shutdown(socket.SHUT_WR)
        assert owner(accepted) == SOMEBODY


def test_who_listens_there() -> None:
    """A listener at the port of a closed socket is not taken for its owner."""
    with connected(SOMEBODY) as (client, accepted):
        peer = client.getsockname()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        client.close()
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(peer)
            listener.listen()
            assert owner(accepted, peer) is None


def test_reset() -> None:
    """A connection from the port of a closed socket is not taken for that socket."""
    with connected(SOMEBODY) as (client, accepted):
        peer, there = client.getsockname(), client.getpeername()
        assert SOCKETS.is_connected(accepted)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        client.close()
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(peer)
            other.connect(there)
            assert owner(accepted, peer) == os.geteuid()
            assert not SOCKETS.is_connected(accepted)


def test_no_such_connection() -> None:
    """A connection that does not exist has no owner, and asking is no error."""
    here = ip_address("127.0.0.1")
    assert SOCKETS.owner(here, 1, here, 2) is None
    assert SOCKETS.owner(ip_address("192.0.2.1"), 1, here, 2) is None


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("127.255.0.1", True),
        ("::1", True),
        ("192.0.2.77", False),
        ("2001:db8::77", False),
    ],
)
def test_local_addresses(address: str, local: bool) -> None:
    """Addresses of other hosts, or of none, are not local."""
    assert SOCKETS.is_local(ip_address(address)) is local
