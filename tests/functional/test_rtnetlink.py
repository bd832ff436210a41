"""Interfaces, addresses and routes as the kernel has them afterwards."""

from __future__ import annotations

import errno
import json
import subprocess
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface, IPv6Network
from typing import Any

import pytest

from runc_cpi.daemon.host.namespaces import CLONE_NEWNET, inside
from runc_cpi.daemon.host.network import links, rtnetlink
from runc_cpi.daemon.host.network.links import index_of, reason
from tests.harness.world import new_namespace

HARDWARE, MTU = "02:42:0a:00:00:02", 1400
IPV4, IPV6 = IPv4Interface("192.0.2.2/24"), IPv6Interface("2001:db8::2/64")
ROUTED = IPv6Network("2001:db8:1::/48")


def ip(*words: str) -> Any:
    """Return what ip(8) tells of the network namespace that this thread is in."""
    return json.loads(subprocess.check_output(["ip", "-json", *words]))


def test_a_pair() -> None:
    """A pair is as it was asked for, on both sides."""
    with new_namespace() as here, new_namespace() as there, inside(here, CLONE_NEWNET):
        rtnetlink.make_pair("near", "far", hardware=HARDWARE, mtu=MTU, pid=there)
        rtnetlink.turn_on(index_of("near"), "a note")
        with inside(there, CLONE_NEWNET):
            index = index_of("far")
            for address in (IPV4, IPV6):
                rtnetlink.add_address(index, address)
            rtnetlink.turn_on(index)
            rtnetlink.add_route(ROUTED, IPV6.network[1])
            (link,) = ip("address", "show", "far")
            (route,) = ip("-6", "route", "show", str(ROUTED))
            assert list(rtnetlink.addresses(4)) == [(IPV4, index, "far")]
            assert rtnetlink.mtu_of(index) == MTU
        (near,) = ip("link", "show", "near")
    found = {(each["local"], each["prefixlen"]) for each in link["addr_info"]}
    assert {(str(IPV4.ip), 24), (str(IPV6.ip), 64)} <= found
    assert (link["address"], link["mtu"]) == (HARDWARE, MTU)
    assert (route["gateway"], route["dev"]) == (str(IPV6.network[1]), "far")
    assert (near["mtu"], near["ifalias"]) == (MTU, "a note")


def test_an_interface_that_cannot_be_removed() -> None:
    """The caller is told what the kernel says."""
    with new_namespace() as here, inside(here, CLONE_NEWNET):
        with pytest.raises(OSError, match="Operation not supported"):
            links.remove("lo")
        assert links.find("lo") is not None


def test_default_ways() -> None:
    """The first is that with the lowest metric; other routes and tables do not count."""
    with new_namespace() as here, inside(here, CLONE_NEWNET):
        assert list(rtnetlink.default_ways()) == []
        indexes = []
        for number in (1, 2):
            name = f"way{number}"
            rtnetlink.make_pair(name, f"e{number}", hardware=HARDWARE, mtu=MTU, pid=here)
            indexes.append(index_of(name))
            rtnetlink.add_address(indexes[-1], IPv4Interface(f"192.0.{number}.2/24"))
            rtnetlink.turn_on(indexes[-1])
        rtnetlink.add_route(
            IPv4Interface("198.51.100.0/24").network, IPv4Address("192.0.1.1")
        )
        for words in (
            ["default", "via", "192.0.1.1", "metric", "20"],
            ["default", "via", "192.0.2.1", "metric", "10"],
            ["default", "via", "192.0.1.1", "table", "100"],
        ):
            subprocess.run(["ip", "route", "add", *words], check=True)
        assert list(rtnetlink.default_ways()) == indexes[::-1]


def test_what_the_kernel_refuses() -> None:
    """The error says why, and nothing else."""
    with new_namespace() as here, inside(here, CLONE_NEWNET):
        for work in (rtnetlink.remove_link, rtnetlink.mtu_of):
            with pytest.raises(OSError, match="^No such device$") as caught:
                work(4711)
            assert caught.value.errno == errno.ENODEV
            assert reason(caught.value) == "No such device"
