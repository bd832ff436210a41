"""Who may connect: by source address, and told now and then when not."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.rpc.access import LOOPBACK, QUIET_SECONDS, REMEMBERED, AccessList

NETWORKS = [*LOOPBACK, ip_network("10.0.0.0/16"), ip_network("2001:db8::/64")]


def peer(host: str) -> IPv4Address | IPv6Address:
    """Return the address of a peer, as Twisted gives it."""
    kind = IPv6Address if ":" in host else IPv4Address
    return kind("TCP", host, 40000)


def admits(host: str, networks: Any = NETWORKS) -> bool:
    """Ask a new list."""
    return AccessList(networks, Clock().seconds).admits(peer(host))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.255.255.254",
        "::1",
        "10.0.0.0",
        "10.0.255.255",
        "2001:db8::ffff",
        "::ffff:127.0.0.1",
        "::ffff:10.0.3.4",
    ],
)
def test_who_is_let_in(host: str) -> None:
    """An IPv4 peer of a socket for both kinds is known by its own address."""
    assert admits(host)


@pytest.mark.parametrize(
    "host",
    [
        "128.0.0.1",
        "10.1.0.0",
        "9.255.255.255",
        "::2",
        "2001:db8:0:1::1",
        "::ffff:10.1.0.0",
        "::10.0.0.1",
        "fe80::1%eth0",
    ],
)
def test_who_is_not(host: str) -> None:
    """However near it is, and with or without a zone."""
    assert not admits(host)


def test_a_zone_is_no_part_of_the_address() -> None:
    """A link's own addresses come with one."""
    assert admits("fe80::1%eth0", [ip_network("fe80::/10")])


def test_no_network_lets_nobody_in() -> None:
    """An empty list is not the same as none."""
    assert not admits("127.0.0.1", [])
    assert admits("203.0.113.1", None)


def test_a_socket_file_has_no_address() -> None:
    """Its mode has decided already."""
    for address in (UNIXAddress(None), UNIXAddress(b"/run/x"), None):
        assert AccessList([], Clock().seconds).admits(address)


class TellingTests(SynchronousTestCase):
    """What the log says of those who are not let in."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.access = AccessList(LOOPBACK, self.clock.seconds)
        self.told: list[str] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def observe(self, event: Any) -> None:
        """Keep what is said."""
        if event.get("log_namespace", "").startswith("runc_cpi"):
            self.told.append(event["peer"])

    def knock(self, *hosts: str) -> list[str]:
        """Have peers try, and return what was said meanwhile."""
        self.told.clear()
        for host in hosts:
            self.assertFalse(self.access.admits(peer(host)))
        return list(self.told)

    def test_once_in_a_while(self) -> None:
        """A peer that tries all the time does not fill the log."""
        self.assertEqual(self.knock("192.0.2.1", "192.0.2.1"), ["192.0.2.1"])
        self.clock.advance(QUIET_SECONDS - 1)
        self.assertEqual(self.knock("192.0.2.1"), [])
        self.clock.advance(1)
        self.assertEqual(self.knock("192.0.2.1"), ["192.0.2.1"])

    def test_each_for_itself(self) -> None:
        """Another peer is another matter."""
        self.assertEqual(len(self.knock("192.0.2.1", "192.0.2.2", "2001:db8::1")), 3)

    def test_who_is_let_in_is_not_told(self) -> None:
        """Nothing is wrong then."""
        self.assertTrue(self.access.admits(peer("127.0.0.1")))
        self.assertEqual(self.told, [])

    def test_what_is_remembered_is_bounded(self) -> None:
        """A peer with many addresses costs no memory."""
        hosts = [f"2001:db8::{number:x}" for number in range(1, 3 * REMEMBERED)]
        self.assertEqual(self.knock(*hosts), hosts)
        self.assertLessEqual(len(self.access._quiet._told), REMEMBERED)
