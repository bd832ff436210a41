"""Planned interfaces come back from a VM's record as they were."""

from __future__ import annotations

import json
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Any

import pytest

from runc_cpi.daemon.networks.firewall import AllowedSources, allowed_sources
from runc_cpi.daemon.networks.model import Nic, Route

NIC = Nic(
    networks=("a", "b"),
    interface="eth0",
    mac="02:42:0a:00:00:02",
    addresses=(ip_interface("10.0.0.2/16"), ip_interface("2001:db8::2/64")),
    routes=(
        Route(destination=ip_network("0.0.0.0/0"), gateway=ip_address("10.0.0.1")),
        Route(destination=ip_network("::/0"), gateway=ip_address("2001:db8::1")),
    ),
    bridge="runc0",
    gateways=(IPv4Interface("10.0.0.1/16"),),
    mtu=1400,
    blocks=(ip_network("10.0.1.0/28"), ip_network("2001:db8:1::/80")),
)


def test_an_interface_comes_back() -> None:
    """An interface is the same after JSON, with addresses of both families."""
    assert Nic.from_json(json.loads(json.dumps(NIC.to_json()))) == NIC


@pytest.mark.parametrize("key", sorted(NIC.to_json()))
@pytest.mark.parametrize("value", [None, ["x"], [None]])
def test_an_interface_with_a_damaged_field(key: str, value: Any) -> None:
    """A field that is missing, or has no addresses where it should, is an error."""
    record = NIC.to_json()
    del record[key]
    with pytest.raises(KeyError):
        Nic.from_json(record)
    if key in ("addresses", "routes", "gateways", "blocks"):
        with pytest.raises((TypeError, ValueError)):
            Nic.from_json({**record, key: value})


def test_what_a_vm_may_send() -> None:
    """
    A VM may send from its hardware address, its addresses and its blocks alone, and from
    the address that IPv6 has for the link.
    """
    of_link = IPv6Address("fe80::42:aff:fe00:2")
    addresses = (IPv4Address("10.0.0.2"), IPv6Address("2001:db8::2"), of_link)
    expected = AllowedSources(mac=NIC.mac, addresses=addresses, blocks=NIC.blocks)
    assert allowed_sources(NIC) == expected
