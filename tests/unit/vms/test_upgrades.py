"""Records that older daemons wrote are read as records of today."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from runc_cpi.daemon.networks.model import Subnet
from runc_cpi.daemon.vms.upgrades import upgraded
from runc_cpi.daemon.vms.vm import VM

SUBNET = Subnet(
    cidr=IPv4Network("10.0.0.0/16"),
    gateway=IPv4Address("10.0.0.1"),
    bridge="br0",
    dns=(),
)
FIRST: dict[str, Any] = {
    "schema": 1,
    "vm_cid": "vm-0d6f0f3c-7d5c-4a0e-a9a5-0f4f8f0b5a11",
    "agent_id": "1f1b9d1e-9d4e-4c39-8d3b-7b1d0d4f6f52",
    "stemcell_cid": "stemcell-2f0c1d0e-4f0b-4f5d-9c8e-3f6b2e1d7a90",
    "cloud_properties": {"cpu": 2, "ram": 1024},
    "networks": {
        "public": {"type": "vip", "ip": "203.0.113.1"},
        "default": {
            "type": "manual",
            "ip": "10.0.0.7",
            "netmask": "255.255.0.0",
            "gateway": "10.0.0.1",
            "dns": ["10.0.0.2"],
            "default": ["dns", "gateway"],
            "cloud_properties": {},
        },
        "more": {
            "type": "dynamic",
            "ip": "10.0.0.2",
            "netmask": "255.255.0.0",
            "gateway": "10.0.0.1",
            "dns": ["192.0.2.53"],
            "cloud_properties": {},
        },
    },
    "addresses": ["10.0.0.7", "10.0.0.2"],
    "env": {"bosh": {"password": "*"}},
    "agent": {"mbus": "https://mbus:secret@0.0.0.0:6868", "ntp": []},
    "created_at": "2025-11-03T08:15:30.123456+00:00",
    "metadata": {"deployment": "cf", "job": "db"},
}
SECOND: dict[str, Any] = {**FIRST, "schema": 2, "stopped": True}
NICS: list[dict[str, Any]] = [
    {
        "networks": ["default", "more"],
        "interface": "eth0",
        "mac": "02:42:0a:00:00:07",
        "addresses": ["10.0.0.7/16", "10.0.0.2/16"],
        "routes": [{"destination": "0.0.0.0/0", "gateway": "10.0.0.1"}],
        "bridge": "runc-0a000000",
        "mtu": None,
        "gateways": ["10.0.0.1/16"],
        "blocks": [],
    }
]


def without_addresses(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without the field that schema 3 had no more."""
    return {name: value for name, value in record.items() if name != "addresses"}


def test_a_record_of_the_first_version() -> None:
    """Schema 1 has no VMs that stopped, and addresses instead of interfaces."""
    vm = VM.from_json(upgraded(FIRST, [SUBNET]))
    assert vm.to_json() == {
        **without_addresses(FIRST),
        "schema": 6,
        "stopped": False,
        "end": None,
        "nics": NICS,
        "ports": [],
    }


def test_a_record_of_the_second_version() -> None:
    """Schema 2 has addresses instead of interfaces."""
    vm = VM.from_json(upgraded(SECOND, [SUBNET]))
    new = {"schema": 6, "end": None, "nics": NICS, "ports": []}
    assert vm.to_json() == {**without_addresses(SECOND), **new}


def test_a_record_of_the_third_version() -> None:
    """Schema 3 has interfaces without their bridges."""
    new = ("bridge", "gateways", "mtu", "blocks")
    nics = [{key: nic[key] for key in nic if key not in new} for nic in NICS]
    third = {**without_addresses(SECOND), "schema": 3, "nics": nics}
    vm = VM.from_json(upgraded(third, [SUBNET]))
    assert vm.to_json() == {**third, "schema": 6, "end": None, "nics": NICS, "ports": []}


def test_a_record_of_the_fourth_version() -> None:
    """Schema 4 has interfaces that are in one subnet each."""
    new = ("gateways", "blocks")
    nics = [
        {
            **{key: nic[key] for key in nic if key not in new},
            "gateway": nic["gateways"][0],
        }
        for nic in NICS
    ]
    fourth = {**without_addresses(SECOND), "schema": 4, "nics": nics, "ports": []}
    vm = VM.from_json(upgraded(fourth, [SUBNET]))
    assert vm.to_json() == {**fourth, "schema": 6, "end": None, "nics": NICS}


def test_addresses_of_a_network_that_was_configured_before() -> None:
    """An address that is in no subnet any more is still that of the VM."""
    moved = Subnet(
        cidr=IPv4Network("10.78.0.0/24"),
        gateway=IPv4Address("10.78.0.1"),
        bridge="br0",
        dns=(),
    )
    vm = VM.from_json(upgraded(SECOND, [moved]))
    assert [str(address) for address in vm.addresses] == ["10.0.0.7", "10.0.0.2"]


def test_other_records_are_left_as_they_are() -> None:
    """A record of today is not changed, nor is one of a version that is not known."""
    today = dict(upgraded(SECOND, [SUBNET]))
    for record in (today, {**SECOND, "schema": 6}, {}, {"schema": None}):
        assert upgraded(record, [SUBNET]) == record


@pytest.mark.parametrize("record", [FIRST, SECOND])
@pytest.mark.parametrize(
    "damage",
    [
        {"addresses": []},
        {"addresses": ["10.0.0.7"]},
        {"addresses": ["10.0.0.7", "not one"]},
        {"addresses": None},
        {"networks": {}},
        {"networks": []},
        {"networks": {"a": {}, "b": {}}},
        {"networks": {"a": None, "b": None}},
    ],
)
def test_a_damaged_record(record: dict[str, Any], damage: dict[str, Any]) -> None:
    """Addresses that do not fit the networks make a record one that cannot be read."""
    with pytest.raises(ValueError, match=r".+"):
        upgraded({**record, **damage}, [SUBNET])


@pytest.mark.parametrize("key", ["addresses", "networks"])
def test_a_record_that_lacks_something(key: str) -> None:
    """A record of an older version that lacks a field cannot be read."""
    with pytest.raises(ValueError, match="not a VM's record"):
        upgraded({name: SECOND[name] for name in SECOND if name != key}, [SUBNET])
