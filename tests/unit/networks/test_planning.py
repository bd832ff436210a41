"""From the addresses of a VM to its interfaces."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from runc_cpi.daemon.networks.model import Nic, Route
from runc_cpi.daemon.networks.planning import Lease, plan, updated
from runc_cpi.errors import InvalidArgument
from tests.unit.networks.examples import OTHER, SUBNET

EVERYWHERE = IPv4Network("0.0.0.0/0")


def planned(networks: dict[str, dict[str, Any]], **addresses: str) -> tuple[Nic, ...]:
    """Plan interfaces for these addresses, each in the subnet that has it."""
    leases = {
        name: Lease(
            address=IPv4Address(address),
            subnet=OTHER if IPv4Address(address) in OTHER.cidr else SUBNET,
        )
        for name, address in addresses.items()
    }
    return plan(leases, {**dict.fromkeys(addresses, {}), **networks})


def test_one_interface_has_all_addresses_of_a_subnet() -> None:
    """The first address gives the hardware address and the default route."""
    assert planned({}, a="10.0.0.9", b="10.0.0.2") == (
        Nic(
            networks=("a", "b"),
            interface="eth0",
            mac="02:42:0a:00:00:09",
            addresses=(IPv4Interface("10.0.0.9/16"), IPv4Interface("10.0.0.2/16")),
            routes=(Route(destination=EVERYWHERE, gateway=IPv4Address("10.0.0.1")),),
            bridge="br0",
            gateways=(IPv4Interface("10.0.0.1/16"),),
            mtu=None,
        ),
    )


def test_an_interface_for_each_subnet() -> None:
    """Interfaces come in the order of the networks, the first with the default route."""
    first, second = planned({}, a="10.9.0.2", b="10.0.0.2", c="10.9.0.3")
    assert (first.interface, first.networks) == ("eth0", ("a", "c"))
    assert (second.interface, second.networks) == ("eth1", ("b",))
    assert [str(address) for address in first.addresses] == ["10.9.0.2/24", "10.9.0.3/24"]
    assert [nic.bridge for nic in (first, second)] == ["br1", "br0"]
    assert [route.gateway for route in first.routes] == [OTHER.gateway]
    assert second.routes == ()


def test_the_default_route_is_where_the_manifest_says() -> None:
    """The network that is the default for C{gateway} has the default route."""
    first, second = planned({"b": {"default": ["gateway"]}}, a="10.9.0.2", b="10.0.0.2")
    assert first.routes == ()
    assert [route.gateway for route in second.routes] == [SUBNET.gateway]


def test_networks_that_share_an_interface() -> None:
    """Networks of one C{nic_group} are in one subnet, or it cannot be had."""
    group = {"nic_group": 1}
    (nic,) = planned({"a": group, "b": group}, a="10.0.0.9", b="10.0.0.2")
    assert nic.networks == ("a", "b")
    with pytest.raises(
        InvalidArgument, match=r"^networks\.b\.nic_group: 1 .*10\.0\.0\.0/16"
    ):
        planned({"a": group, "b": group}, a="10.0.0.9", b="10.9.0.2")


def test_a_change_of_the_configuration() -> None:
    """An interface follows the gateway, the size and the bridge of its subnet."""
    nics = planned({}, a="10.0.0.2", b="10.9.0.2")
    changed = replace(
        SUBNET,
        cidr=IPv4Network("10.0.0.0/20"),
        gateway=IPv4Address("10.0.1.1"),
        bridge="br7",
        mtu=1400,
    )
    first, second = updated(nics, [changed, OTHER])
    assert first == replace(
        nics[0],
        addresses=(IPv4Interface("10.0.0.2/20"),),
        routes=(Route(destination=EVERYWHERE, gateway=changed.gateway),),
        bridge="br7",
        gateways=(IPv4Interface("10.0.1.1/20"),),
        mtu=1400,
    )
    assert second == nics[1]
    assert updated(nics, [SUBNET, OTHER]) == nics


def test_a_network_that_is_configured_no_more() -> None:
    """An interface whose subnet is in the configuration no more has a bridge of its own."""
    (nic,) = planned({}, a="10.0.0.2")
    assert updated([nic], [OTHER]) == (replace(nic, bridge="runc-0a000000"),)
