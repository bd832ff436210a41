"""Published ports, as the two CPIs that have them write them."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from runc_cpi.daemon.networks.ports import MOST_PUBLISHED, HeldPorts, PublishedPort, parse
from runc_cpi.errors import InvalidArgument


def port(first: int, last: int | None = None, **changes: Any) -> PublishedPort:
    """Return ports of TCP that lead to the same ports of a VM, with changes."""
    values = {"protocol": "tcp", "address": None, "container": first}
    return PublishedPort(first=first, last=last or first, **{**values, **changes})


@pytest.mark.parametrize("raw", [None, [], ["22/tcp", "22", "53/udp", 6868, "1-2"]])
def test_nothing_published(raw: Any) -> None:
    """A port without one of the host needs nothing."""
    assert parse(raw) == ()


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("8080:80", port(8080, container=80)),
        ("8080:80/tcp", port(8080, container=80)),
        ("53:5353/udp", port(53, container=5353, protocol="udp")),
        (
            "127.0.0.1:8080:80",
            port(8080, container=80, address=IPv4Address("127.0.0.1")),
        ),
        ("0.0.0.0:8080:80", port(8080, container=80, address=IPv4Address(0))),
        ("[::]:8080:80", port(8080, container=80, address=IPv6Address(0))),
        (
            "[2001:db8::1]:8080:80/udp",
            port(8080, container=80, protocol="udp", address=IPv6Address("2001:db8::1")),
        ),
        (":8080:80", port(8080, container=80)),
        ("8000-8002:80-82", port(8000, 8002, container=80)),
        ({"host": 80}, port(80)),
        ({"host": "80", "container": None, "protocol": None}, port(80)),
        ({"host": 8080, "container": "80"}, port(8080, container=80)),
        ({"host": "1024:1123"}, port(1024, 1123)),
        ({"host": "1-65535", "protocol": "udp"}, None),
        (
            {"host": "1000-2000", "container": "2000:3000", "protocol": "udp"},
            port(1000, 2000, container=2000, protocol="udp"),
        ),
    ],
)
def test_published(item: Any, expected: PublishedPort | None) -> None:
    """Texts and objects are read; all ports there are would be too many."""
    if expected is None:
        with pytest.raises(InvalidArgument, match=f"VM may publish {MOST_PUBLISHED}"):
            parse([item])
    else:
        assert parse([item]) == (expected,)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("8080:80", r"^cloud_properties\.ports: '8080:80' must be a list"),
        ({}, r"ports: {} must be a list"),
        ([True], r"ports\[0\]: True must be \"CONTAINER\""),
        ([None], r"ports\[0\]: None must be"),
        ([1.5], r"ports\[0\]: 1.5 must be"),
        (["1", []], r"ports\[1\]: \[\] must be"),
        (["a"], r"ports\[0\]: 'a' must be a port from 1 to 65535"),
        ([""], r"'' must be a port"),
        ([":80"], r"'' must be a port"),
        (["80:"], r"'' must be a port"),
        (["0:80"], r"'0' must be a port"),
        (["65536:80"], r"'65536' must be a port"),
        (["٨٠:80"], r"'٨٠' must be a port"),
        ([0], r"'0' must be a port"),
        (["1-:80-81"], r"'1-' must be a port"),
        (["2-1:2-1"], r"'2-1' must begin with its lower port"),
        (["8000-8001:80"], r"'8000-8001' and '80' must be ranges of the same size"),
        (["80:80/sctp"], r"protocol 'sctp' must be tcp or udp"),
        (["80/"], r"protocol '' must be tcp or udp"),
        (["1:2:3:4"], r"'1:2:3:4' must be \"CONTAINER\""),
        (["[::1]:80:80"], r"'\[::1\]' leads to no VM; take 127\.0\.0\.1"),
        (["[fe80::1]:80:80"], r"'\[fe80::1\]' holds on one link alone; take another"),
        (["[ff02::1]:80:80"], r"'\[ff02::1\]' is of a group; take an address"),
        (["224.0.0.1:80:80"], r"'224\.0\.0\.1' is of a group"),
        (["[::ffff:192.0.2.1]:80:80"], r"\]' is one of IPv4; take 192\.0\.2\.1$"),
        (["80:80", "[::]:80:80"], r"\[::\]:80/tcp and 80/tcp overlap"),
        (["0.0.0.0:80:80", "192.0.2.1:80:80"], r"192\.0\.2\.1:80/tcp and 0\.0\.0\.0:80"),
        (
            ["[fd00::1]:80:80", "[::]:80:80"],
            r"\[::\]:80/tcp and \[fd00::1\]:80/tcp ",
        ),
        (["[fe80::1%lo]:80:80"], r"'\[fe80::1%lo\]' must be an address of the host"),
        (["2001:db8::1:80:80"], r"must be \"CONTAINER\""),
        (["[2001:db8::1]:80"], r"must be "),
        (["[10.0.0.1]:80:80"], r"'\[10\.0\.0\.1\]' must be an address of the host, one of"),
        (
            ["localhost:80:80"],
            r"'localhost' must be an address of the host, one of IPv6 in",
        ),
        ([{}], r"ports\[0\]: host is missing; an object has host, container, protocol"),
        ([{"host": 1, "port": 2}], r"ports\[0\]: 'port' is unknown"),
        ([{"host": True}], r"ports\[0\]\.host: True must be a number or a text"),
        ([{"host": 1, "container": [1]}], r"ports\[0\]\.container: \[1\] must be"),
        ([{"host": 1, "protocol": 6}], r"protocol '6' must be tcp or udp"),
        (["80:80", {"host": "79-81"}], r"ports: 79-81/tcp and 80/tcp overlap"),
    ],
)
def test_refused(raw: Any, message: str) -> None:
    """What cannot be read is refused; the error says what is accepted."""
    with pytest.raises(InvalidArgument, match=message):
        parse(raw)


def test_the_same_port_twice() -> None:
    """A port of the host can have two protocols, addresses or kinds of IP, but not both."""
    assert len(parse(["0.0.0.0:80:80", "[::]:80:81", "[::]:53:53", "127.0.0.1:53:53"])) == 4
    assert len(parse(["53:53", "53:53/udp", "127.0.0.1:80:80", "192.0.2.1:80:80"])) == 4


def test_many() -> None:
    """Ports are counted before anything else is done with them."""
    single = [f"{number}:{number}" for number in range(1, MOST_PUBLISHED + 1)]
    assert len(parse(single)) == MOST_PUBLISHED
    for raw in ([*single, None], ["1-65535:1-65535", "1-65535:1-65535"]):
        with pytest.raises(InvalidArgument, match=r"ports are too many"):
            parse(raw)


def test_who_holds_a_port() -> None:
    """All addresses include each one; what is let go of is nobody's."""
    held: HeldPorts[str] = HeldPorts()
    (somewhere,), (anywhere,), (elsewhere,) = (
        parse([text]) for text in ("127.0.0.1:80-81:80-81", "81:81", "192.0.2.1:81:81")
    )
    held.add(somewhere, "first")
    assert (held.holder(anywhere), held.holder(elsewhere)) == ("first", None)
    held.add(elsewhere, "second")
    held.remove(somewhere)
    assert (held.holder(anywhere), held.holder(somewhere)) == ("second", None)
    held.remove(elsewhere)
    held.add(anywhere, "third")
    assert held.holder(somewhere) == held.holder(elsewhere) == "third"
    held.remove(anywhere)
    of_ipv4, of_ipv6 = parse(["0.0.0.0:81:81", "[::]:81:81"])
    held.add(of_ipv4, "fourth")
    assert (held.holder(elsewhere), held.holder(of_ipv6)) == ("fourth", None)
    held.add(of_ipv6, "fifth")
    held.remove(of_ipv4)
    assert (held.holder(elsewhere), held.holder(anywhere)) == (None, "fifth")


def test_records() -> None:
    """What is in a record comes back."""
    texts = ("127.0.0.1:8000-8001:80-81/udp", "0.0.0.0:90:90", "[::]:90:90")
    for published in parse([*texts, {"host": 80}]):
        record = json.loads(json.dumps(published.to_json()))
        assert PublishedPort.from_json(record) == published
