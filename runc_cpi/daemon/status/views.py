"""What the page is told of VMs, disks and networks: short, printable, and no secrets."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from runc_cpi.daemon.base.places import Place
from runc_cpi.daemon.disks.disk import Disk
from runc_cpi.daemon.events.event import named
from runc_cpi.daemon.networks.managed import NetworkFacts
from runc_cpi.daemon.networks.model import Holding
from runc_cpi.daemon.vms.conditions import Condition
from runc_cpi.daemon.vms.usage import Usage
from runc_cpi.daemon.vms.vm import VM

MOST_PORTS = 50  # of a VM
# The network's own address, the host's, and that of broadcasts.
NEVER_VMS = 3


def vm_view(
    vm: VM, *, condition: Condition, oom_kills: int | None, usage: Usage | None
) -> dict[str, Any]:
    """
    Return what the page shows of a VM.

    @param oom_kills: processes that the kernel killed, or L{None} if nobody counts them.
    @param usage: what it uses, or L{None} if it is down.
    """
    deployment = vm.metadata.get("deployment")
    return {
        "vm_cid": vm.vm_cid,
        "instance": named(vm.name),
        "deployment": named(deployment) if isinstance(deployment, str) else "",
        "agent_id": named(vm.agent_id),
        "stemcell_cid": vm.stemcell_cid,
        "state": condition.value,
        "end": None if vm.end is None else vm.end.describe(),
        "oom_kills": oom_kills,
        "addresses": [str(each) for each in (*vm.addresses, *vm.blocks)],
        "vips": [str(address) for address in vm.vips],
        "created_at": vm.created_at,
        "ports": [
            {"host": str(port), "container": port.container}
            for port in vm.ports[:MOST_PORTS]
        ],
        "more_ports": max(0, len(vm.ports) - MOST_PORTS),
        "usage": None if usage is None else usage.to_json(),
    }


def unreadable_view(vm_cid: str) -> dict[str, Any]:
    """Return what the page shows of a VM whose record cannot be read."""
    return {
        "vm_cid": vm_cid,
        "instance": vm_cid,
        "deployment": "",
        "agent_id": "",
        "stemcell_cid": "",
        "state": Condition.SET_ASIDE.value,
        "end": None,
        "oom_kills": None,
        "addresses": [],
        "vips": [],
        "created_at": "",
        "ports": [],
        "more_ports": 0,
        "usage": None,
    }


def disk_view(disk: Disk, place: Place) -> dict[str, Any]:
    """
    Return what the page shows of a disk.

    @param place: where it belongs.
    """
    return {
        "disk_cid": disk.disk_cid,
        "size": disk.size,
        "filesystem": disk.filesystem,
        "attached_to": disk.attached_to,
        "deployment": named(place.deployment),
        "instance": named(place.instance),
        "created_at": disk.created_at,
    }


def network_view(facts: NetworkFacts) -> dict[str, Any]:
    """Return what the page shows of a network."""
    subnet = facts.subnet
    return {
        "network_cid": facts.network_cid,
        "name": subnet.name,
        "cidr": str(subnet.cidr),
        "gateway": str(subnet.gateway),
        "bridge": subnet.bridge,
        "nat": subnet.nat,
        "isolated": subnet.isolated,
        "used": _held(facts.holders),
        "size": max(0, subnet.cidr.num_addresses - NEVER_VMS),
    }


def _held(holders: Mapping[Holding, str]) -> int:
    """Count addresses, also those in blocks."""
    is_single = (IPv4Address, IPv6Address)
    return sum(
        1 if isinstance(holding, is_single) else holding.num_addresses
        for holding in holders
    )
