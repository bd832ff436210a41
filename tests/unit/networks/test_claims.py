"""What cannot be had beside another daemon of the host."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from runc_cpi.daemon.networks.claims import Claims
from runc_cpi.daemon.networks.ports import parse
from runc_cpi.daemon.networks.rules import Redirection
from runc_cpi.errors import AddressUnavailable, PortUnavailable

HOST, ELSEWHERE, VIP = map(IPv4Address, ("192.0.2.1", "192.0.2.2", "192.0.2.3"))


def redirection(port: int, address: IPv4Address | None) -> Redirection:
    """Return a published port of TCP."""
    return Redirection(
        protocol="tcp",
        address=address,
        port=port,
        vm_address=IPv4Address("10.0.0.2"),
        vm_port=80,
    )


CLAIMS = Claims(
    owner="another",
    redirections=frozenset([redirection(80, None), redirection(90, HOST)]),
    vips=frozenset([VIP]),
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("80:80", "port 80/tcp is published by another"),
        (f"{ELSEWHERE}:80:80", f"port {ELSEWHERE}:80/tcp is published by another"),
        ("70-80:70-80", "port 70-80/tcp is published by another"),
        ("0.0.0.0:80:80", "port 0.0.0.0:80/tcp is published by another"),
        ("0.0.0.0:90:80", "port 0.0.0.0:90/tcp is published by another"),
        ("90:80", "port 90/tcp is published by another"),
        (f"{HOST}:90:80", f"port {HOST}:90/tcp is published by another"),
        (f"{VIP}:91:80", f"port {VIP}:91/tcp: {VIP} is a vip of another"),
    ],
)
def test_ports_that_are_taken(text: str, message: str) -> None:
    """A port is taken if the other daemon has it at one of the same addresses."""
    with pytest.raises(PortUnavailable) as caught:
        CLAIMS.check_port(*parse([text]))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "text", ["80:80/udp", f"{ELSEWHERE}:90:80", "81-89:1-9", "[::]:80-90:80-90"]
)
def test_free_ports(text: str) -> None:
    """Others are free."""
    CLAIMS.check_port(*parse([text]))


def test_vips() -> None:
    """A vip is taken if the other daemon has it, or publishes a port there."""
    with pytest.raises(AddressUnavailable, match=f"^vip {VIP} is in use by another$"):
        CLAIMS.check_vip(VIP)
    with pytest.raises(PortUnavailable, match=f"^vip {HOST}: port {HOST}:90/tcp is publ"):
        CLAIMS.check_vip(HOST)
    CLAIMS.check_vip(ELSEWHERE)
