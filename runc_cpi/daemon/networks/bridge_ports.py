"""How many VMs can be on one bridge."""

from __future__ import annotations

from collections.abc import Collection

from runc_cpi.daemon.networks.model import Subnet
from runc_cpi.errors import VMCreationFailed

# Linux numbers the ports of a bridge with ten bits; none is 0 (net/bridge/br_private.h).
MOST_PORTS = 1023


def check_room(bridge: str, subnets: Collection[Subnet], vms: int) -> None:
    """
    Check that a bridge has a port for each of its VMs.

    What else is on it is not counted: for that the kernel refuses a VM later.

    @param subnets: those that have the bridge.
    @param vms: how many VMs have an address in one of them, the new one included.
    @raise VMCreationFailed: if there are too many.
    """
    if vms > MOST_PORTS:
        cidrs = ", ".join(str(subnet.cidr) for subnet in subnets)
        raise VMCreationFailed(f"subnet {cidrs}: {no_port_left(bridge)}")


def no_port_left(bridge: str) -> str:
    """Say that a bridge is full, and what to do."""
    return (
        f"bridge {bridge} has {MOST_PORTS} ports, which is all that Linux gives one; have "
        "the VM in a network with another range, which has a bridge of its own"
    )
