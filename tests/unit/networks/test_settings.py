"""The networks of a VM as its agent is told them."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, ip_address, ip_interface
from typing import Any

import pytest

from runc_cpi.daemon.networks import requests
from runc_cpi.daemon.networks.model import Subnet, described
from runc_cpi.daemon.networks.settings import (
    complete,
    name_servers,
    overruled,
    way_out,
)
from tests.unit.networks.examples import DYNAMIC, MANUAL, OTHER, SUBNET, VIP


def completed(given: dict[str, Any], *addresses: str) -> dict[str, dict[str, Any]]:
    """Return networks with these addresses for those that need one, in their order."""
    networks = requests.parse(given)
    needing = [network.name for network in networks if network.kind != "vip"]
    assigned = dict(zip(needing, map(IPv4Address, addresses), strict=True))
    return complete(networks, assigned, subnets(assigned))


def subnets(addresses: Mapping[str, IPv4Address]) -> dict[str, Subnet]:
    """Return the subnets of addresses."""
    return {
        name: OTHER if address in OTHER.cidr else SUBNET
        for name, address in addresses.items()
    }


def test_a_manual_network_stays_as_it_is() -> None:
    """Every key of a manual network reaches the agent as the director sent it."""
    assert completed({"n": MANUAL}, "10.0.0.2") == {"n": MANUAL}


def test_a_network_without_a_type_is_manual() -> None:
    """A network without a type is a manual one, and the agent is told so."""
    untyped = {key: value for key, value in MANUAL.items() if key != "type"}
    assert completed({"n": untyped}, "10.0.0.2") == {"n": MANUAL}


def test_a_dynamic_network_is_filled_in() -> None:
    """A dynamic network gets an address, as the agent would else ask for one by DHCP."""
    assert completed({"n": DYNAMIC}, "10.0.0.9") == {
        "n": {
            "type": "dynamic",
            "ip": "10.0.0.9",
            "prefix": "32",
            "netmask": "255.255.0.0",
            "gateway": "10.0.0.1",
            "dns": ["192.0.2.53"],
            "cloud_properties": {},
        }
    }


def test_a_dynamic_network_of_an_earlier_run() -> None:
    """Settings of an earlier VM, which the director repeats, are replaced."""
    known = {**DYNAMIC, "ip": "10.0.9.9", "netmask": "255.0.0.0", "gateway": "10.0.0.9"}
    network = completed({"n": known}, "10.0.0.3")["n"]
    assert (network["ip"], network["netmask"]) == ("10.0.0.3", "255.255.0.0")
    assert network["gateway"] == "10.0.0.1"


def test_a_virtual_address_is_left_alone() -> None:
    """A vip network is on no interface, and gets no name servers either."""
    assert completed({"v": VIP, "n": MANUAL}, "10.0.0.2")["v"] == VIP


@pytest.mark.parametrize(("prefix", "text"), [(32, "32"), ("32", "32")])
def test_a_prefix_is_a_string(prefix: Any, text: str) -> None:
    """A prefix is told as a string: a number breaks the agent's settings."""
    given = {"n": {**MANUAL, "prefix": prefix}, "v": {**VIP, "prefix": prefix}}
    done = completed(given, "10.0.0.2")
    assert [done["n"]["prefix"], done["v"]["prefix"]] == [text, text]


def test_a_prefix_of_null_is_none() -> None:
    """A prefix of null does not become the word "None", which is no prefix."""
    done = completed({"n": {**MANUAL, "prefix": None}}, "10.0.0.2")
    assert done["n"].get("prefix") in (None, "")


@pytest.mark.parametrize("prefix", [None, 24, "64"])
@pytest.mark.parametrize(("address", "told"), [("10.0.0.9", "32"), ("fd00::9", "128")])
def test_prefix_of_dynamic_networks(prefix: Any, address: str, told: str) -> None:
    """The agent is told one address, of whichever kind, whatever was asked for."""
    networks = requests.parse({"n": {**DYNAMIC, "prefix": prefix}})
    six = described(ip_interface("fd00::1/64"))
    subnet = SUBNET if ip_address(address).version == 4 else six
    done = complete(networks, {"n": ip_address(address)}, {"n": subnet})
    assert (done["n"]["prefix"], done["n"]["ip"]) == (told, address)


def test_what_was_asked_is_not_changed() -> None:
    """The caller's objects are not written to."""
    given = {"n": {**DYNAMIC, "prefix": 32}}
    completed(given, "10.0.0.9")
    assert given == {"n": {**DYNAMIC, "prefix": 32}}


@pytest.mark.parametrize("dns", [None, []])
def test_name_servers_of_the_host_fill_in(dns: Any) -> None:
    """A network that names no name servers gets those of the host."""
    assert completed({"n": {**MANUAL, "dns": dns}}, "10.0.0.2")["n"]["dns"] == [
        "192.0.2.53"
    ]


@pytest.mark.parametrize(
    ("given", "servers"),
    [
        ({"a": {"type": "manual", "dns": ["1"]}}, ["1"]),
        ({"a": {"type": "manual"}}, []),
        ({}, []),
        (
            {
                "a": {"type": "manual", "dns": ["1"], "default": ["gateway"]},
                "b": {"type": "dynamic", "dns": ["2"], "default": ["dns"]},
            },
            ["2"],
        ),
        (
            {"a": {"type": "manual"}, "b": {"type": "manual", "dns": ["2"]}},
            ["2"],
        ),
        (
            {
                "v": {"type": "vip", "dns": ["9"], "default": ["dns"]},
                "a": {"type": "manual", "dns": ["1"]},
            },
            ["1"],
        ),
        (
            {
                "a": {"type": "manual", "dns": ["1"]},
                "b": {"type": "manual", "dns": [], "default": ["dns"]},
            },
            ["1"],
        ),
    ],
)
def test_name_servers_that_count(given: dict[str, Any], servers: list[str]) -> None:
    """The agent uses the name servers of the default network for DNS, or of the first."""
    assert name_servers(given) == servers


def test_each_network_is_of_its_subnet() -> None:
    """Netmask, gateway and name servers are those of the subnet with the address."""
    given = {"n": {**MANUAL, "ip": "10.9.0.2", "dns": None}, "d": DYNAMIC}
    done = completed(given, "10.9.0.2", "10.0.0.3")
    assert done["n"]["netmask"] == "255.255.255.0"
    assert done["n"]["gateway"] == "10.9.0.254"
    assert done["n"]["dns"] == ["192.0.2.54"]
    assert done["d"]["gateway"] == "10.0.0.1"


def test_settings_that_the_subnet_has_otherwise() -> None:
    """A netmask and a gateway that are not the subnet's are named, with the subnet's."""
    asked = {**MANUAL, "netmask": "255.0.0.0", "gateway": None}
    given = {"n": asked, "m": {**MANUAL, "ip": "10.9.0.2"}, "d": DYNAMIC, "v": VIP}
    networks = requests.parse(given)
    assert overruled(networks, {"n": SUBNET, "m": OTHER, "d": SUBNET}) == [
        "networks.n.netmask: '255.0.0.0', here it is 255.255.0.0",
        "networks.m.netmask: '255.255.0.0', here it is 255.255.255.0",
        "networks.m.gateway: '10.0.0.1', here it is 10.9.0.254",
    ]


@pytest.mark.parametrize(
    ("defaults", "name"),
    [
        ({"a": None, "b": None}, "a"),
        ({"a": ["dns"], "b": ["dns", "gateway"]}, "b"),
        ({"a": ["gateway"], "b": []}, "a"),
    ],
)
def test_the_way_out(defaults: dict[str, Any], name: str) -> None:
    """The network that is the default for C{gateway} is it, or the first; never a vip."""
    networks = {key: {"default": value} for key, value in defaults.items()}
    vip = {"type": "vip", "default": ["gateway"]}
    assert way_out({"v": vip, **networks}, list(networks)) == name
