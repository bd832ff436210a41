"""Who has a port: asked for ports of this very process."""

from __future__ import annotations

import os
import socket
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from runc_cpi.daemon.host.network.port_holders import holder

HERE = IPv4Address("127.0.0.1")


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
@pytest.mark.parametrize(
    ("family", "address", "holds"),
    [
        (socket.AF_INET, "127.0.0.1", True),
        (socket.AF_INET, "127.0.0.2", False),
        (socket.AF_INET, "0.0.0.0", True),
        (socket.AF_INET6, "::", True),
        (socket.AF_INET6, "::1", False),
    ],
)
def test_holder(
    family: socket.AddressFamily, address: str, kind: socket.SocketKind, holds: bool
) -> None:
    """Whoever has a port at an address, or at all addresses, is named with its pid."""
    name = Path("/proc/self/comm").read_text().strip()
    with socket.socket(family, kind) as taken:
        taken.bind((address, 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        found = holder(HERE, port)
    assert found == (f"{name} (pid {os.getpid()})" if holds else None)
    assert holder(HERE, port) is None
