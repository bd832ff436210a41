"""Records of VMs that older daemons wrote, turned into records of today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any

from runc_cpi.daemon.networks.model import Subnet
from runc_cpi.daemon.networks.planning import plan


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
    except (AttributeError, KeyError, TypeError) as error:
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
    nics = plan(dict(zip(names, addresses, strict=True)), subnets)
    return {**values, "schema": 3, "nics": [nic.to_json() for nic in nics]}
