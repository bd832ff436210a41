"""Sockets that listen, made and found by this process."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address

import pytest

from runc_cpi.daemon.host.network.listeners import listeners

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
PORT = 23456


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes what a test opens."""
    with ExitStack() as stack:
        yield stack


def listen(stack: ExitStack, protocol: str, host: str, *, only_ipv6: bool = False) -> int:
    """Listen at L{PORT}, and return the inode of the socket."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = stack.enter_context(socket.socket(family, KINDS[protocol]))
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_ipv6)
    server.bind((host, PORT))
    if protocol == "tcp":
        server.listen()
    return os.fstat(server.fileno()).st_ino


@pytest.mark.parametrize("protocol", sorted(KINDS))
@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", None),
        ("127.0.0.1", IPv4Address("127.0.0.1")),
        ("::", None),
        ("::ffff:127.0.0.1", IPv4Address("127.0.0.1")),
    ],
)
def test_who_takes_ipv4(
    stack: ExitStack, protocol: str, host: str, address: IPv4Address | None
) -> None:
    """A socket is found by its port, with the address and the kinds of IP that it takes."""
    inode = listen(stack, protocol, host)
    (found,) = [each for each in listeners(protocol) if each.port == PORT]
    assert (found.address, found.inode) == (address, inode)
    assert found.versions == ({4, 6} if host == "::" else {4})
    other = "udp" if protocol == "tcp" else "tcp"
    assert not [each for each in listeners(other) if each.port == PORT]


@pytest.mark.parametrize("protocol", sorted(KINDS))
def test_ipv6_alone(stack: ExitStack, protocol: str) -> None:
    """It is told of a socket that it takes no IPv4."""
    listen(stack, protocol, "::", only_ipv6=True)
    (found,) = [each for each in listeners(protocol) if each.port == PORT]
    assert found.address is None
    assert found.versions == {6}


def test_connections_do_not_count(stack: ExitStack) -> None:
    """Only sockets that take what comes are found."""
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    client = stack.enter_context(socket.create_connection(server.getsockname()))
    ports = {each.port for each in listeners("tcp")}
    assert server.getsockname()[1] in ports
    assert client.getsockname()[1] not in ports


def test_many(stack: ExitStack) -> None:
    """The kernel's answer comes in many parts."""
    servers = [
        stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(300)
    ]
    ports = {each.port for each in listeners("tcp")}
    assert {server.getsockname()[1] for server in servers} <= ports
