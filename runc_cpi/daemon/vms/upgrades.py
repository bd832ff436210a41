"""Records of VMs that older daemons wrote, turned into records of today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from runc_cpi.daemon.networks.model import (
    Subnet,
    described,
    hardware_address,
    subnet_of,
)


def upgraded(record: Mapping[str, Any], subnets: Sequence[Subnet]) -> Mapping[str, Any]:
    """
    Return a record as this daemon writes it.

    A record that is of no older version is returned as it is.

    @param subnets: those of this host; older daemons had the first alone.
    @raise ValueError: if it says to be of an older version, and is no such record.
    """
    try:
        if record.get("schema") == 1:
            record = _with_stopped(record)
        if record.get("schema") == 2:
            record = _with_nics(record, subnets)
        if record.get("schema") == 3:
            record = _with_bridges(record)
        if record.get("schema") == 4:
            record = _with_gateways(record)
        if record.get("schema") == 5:
            record = _with_end(record)
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"not a VM's record: {error}") from None
    return record


def _with_stopped(record: Mapping[str, Any]) -> dict[str, Any]:
    """Before schema 2 no VM was noted to have stopped."""
    return {**record, "schema": 2, "stopped": False}


def _with_nics(record: Mapping[str, Any], subnets: Sequence[Subnet]) -> dict[str, Any]:
    """
    Before schema 3 there were addresses, in the order of the networks.  The one
    interface was planned at each boot, by the subnet of the time.
    """
    values = dict(record)
    addresses = [IPv4Address(address) for address in values.pop("addresses")]
    networks = values["networks"].items()
    names = [name for name, network in networks if network["type"] != "vip"]
    if not names or len(names) != len(addresses):
        counts = f"{len(addresses)} addresses for {len(names)} networks"
        raise ValueError(f"not a VM's record: {counts}")
    main = subnet_of(addresses[0], subnets) or subnets[0]
    nic = {
        "networks": names,
        "interface": "eth0",
        "mac": hardware_address(addresses[0]),
        "addresses": [f"{address}/{main.cidr.prefixlen}" for address in addresses],
        "routes": [{"destination": "0.0.0.0/0", "gateway": str(main.gateway)}],
    }
    return {**values, "schema": 3, "nics": [nic]}


def _with_bridges(record: Mapping[str, Any]) -> dict[str, Any]:
    """Before schema 4 there was one bridge, and records did not name it."""
    return {**record, "schema": 4, "nics": [_with_bridge(nic) for nic in record["nics"]]}


def _with_bridge(nic: Mapping[str, Any]) -> dict[str, Any]:
    prefix = IPv4Interface(nic["addresses"][0]).network.prefixlen
    gateway = IPv4Interface((nic["routes"][0]["gateway"], prefix))
    bridge = described(gateway).bridge
    return {**nic, "bridge": bridge, "gateway": str(gateway), "mtu": None}


def _with_gateways(record: Mapping[str, Any]) -> dict[str, Any]:
    """Before schema 5 an interface was in one subnet, and no block was a VM's."""
    nics = []
    for nic in record["nics"]:
        kept = {key: value for key, value in nic.items() if key != "gateway"}
        nics.append({**kept, "gateways": [nic["gateway"]], "blocks": []})
    return {**record, "schema": 5, "nics": nics}


def _with_end(record: Mapping[str, Any]) -> dict[str, Any]:
    """Before schema 6 it was not noted whether a VM that stopped had ended by itself."""
    return {**record, "schema": 6, "end": None}
