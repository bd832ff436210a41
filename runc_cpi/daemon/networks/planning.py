"""From the addresses that a VM has to its interfaces."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_interface
from typing import Any

from runc_cpi.daemon.base.bounds import LEAST_MTU_OF_IPV6
from runc_cpi.daemon.networks.model import (
    MOST_INTERFACES,
    Address,
    InterfaceAddress,
    IPNetwork,
    Nic,
    Route,
    Subnet,
    described,
    hardware_address,
    is_described_bridge,
    subnet_of,
)
from runc_cpi.daemon.networks.settings import way_out
from runc_cpi.errors import InvalidArgument

EVERYWHERE: Mapping[int, IPNetwork] = {
    4: IPv4Network("0.0.0.0/0"),
    6: IPv6Network("::/0"),
}


@dataclass(frozen=True, kw_only=True)
class Lease:
    """
    An address that a VM has in one of its networks, and the subnet that it is in.

    @ivar block: the block whose first address this is, if the VM has it whole.
    """

    address: Address
    subnet: Subnet
    block: IPNetwork | None = None


def plan(
    leases: Mapping[str, Lease], networks: Mapping[str, Mapping[str, Any]]
) -> tuple[Nic, ...]:
    """
    Plan the interfaces of a VM: one for each bridge, in the order of the networks.

    A bridge has one subnet, or one of IPv4 and one of IPv6.  For each kind of IP the
    default route is by the subnet of the network that is the default for C{gateway}, or
    else by the first.

    Of a block, the VM has no address on an interface but where it has no other of that
    subnet: there it has the first one, for what is sent to the block has to find it.

    @param leases: the VM's addresses by network name, at least one.
    @param networks: the networks as create_vm has them.
    @raise InvalidArgument: if networks of one C{nic_group} are on several bridges, there
        are too many bridges, or a packet of IPv6 may be too long for one.
    """
    by_bridge: dict[str, list[str]] = {}
    by_version: dict[int, list[str]] = {}
    for name, lease in leases.items():
        by_bridge.setdefault(lease.subnet.bridge, []).append(name)
        by_version.setdefault(lease.subnet.version, []).append(name)
    if len(by_bridge) > MOST_INTERFACES:
        message = f"networks: are in {len(by_bridge)} subnets; a VM can be in "
        raise InvalidArgument(f"{message}{MOST_INTERFACES} at most")
    _check_groups(leases, networks)
    ways_out = [way_out(networks, names) for names in by_version.values()]
    return tuple(
        _nic(f"eth{number}", {name: leases[name] for name in names}, ways_out)
        for number, names in enumerate(by_bridge.values())
    )


def _nic(interface: str, leases: Mapping[str, Lease], ways_out: Sequence[str]) -> Nic:
    """
    Plan one interface.

    @param leases: what the VM has there, by network name.
    @param ways_out: the networks that default routes are by.
    """
    subnets = list({lease.subnet.cidr: lease.subnet for lease in leases.values()}.values())
    placed = _placed(leases.values())
    of_ipv4 = [lease for lease in placed if lease.subnet.version == 4]
    mtu = _least_mtu(subnets)
    if mtu is not None and mtu < LEAST_MTU_OF_IPV6 and len(of_ipv4) < len(placed):
        names = ", ".join(leases)
        raise InvalidArgument(
            f"networks: the interface of {names} has an mtu of {mtu}; IPv6 needs at least "
            f"{LEAST_MTU_OF_IPV6}"
        )
    return Nic(
        networks=tuple(leases),
        interface=interface,
        mac=hardware_address([*of_ipv4, *placed][0].address),
        addresses=tuple(
            ip_interface((lease.address, lease.subnet.cidr.prefixlen)) for lease in placed
        ),
        routes=tuple(
            Route(
                destination=EVERYWHERE[lease.subnet.version], gateway=lease.subnet.gateway
            )
            for name, lease in leases.items()
            if name in ways_out
        ),
        bridge=subnets[0].bridge,
        gateways=tuple(subnet.interface for subnet in subnets),
        mtu=mtu,
        blocks=tuple(lease.block for lease in leases.values() if lease.block is not None),
    )


def _placed(leases: Collection[Lease]) -> list[Lease]:
    """Return those whose addresses an interface has: single ones, or one of each subnet."""
    found = [lease for lease in leases if lease.block is None]
    for lease in leases:
        if all(lease.subnet.cidr != other.subnet.cidr for other in found):
            found.append(lease)
    return sorted(found, key=list(leases).index)


def _least_mtu(subnets: Iterable[Subnet]) -> int | None:
    return min((subnet.mtu for subnet in subnets if subnet.mtu is not None), default=None)


def _check_groups(
    leases: Mapping[str, Lease], networks: Mapping[str, Mapping[str, Any]]
) -> None:
    """Networks that share an interface can only be on one bridge."""
    groups: dict[str, str] = {}
    for name, lease in leases.items():
        group = networks[name].get("nic_group")
        if group is None:
            continue
        first = groups.setdefault(str(group), name)
        there, here = leases[first].subnet, lease.subnet
        if there.bridge != here.bridge:
            raise InvalidArgument(
                f"networks.{name}.nic_group: {group!r} is that of networks.{first}, too, "
                f"which is in another subnet, {there.cidr}, on the bridge {there.bridge}; "
                f"{here.cidr} is on {here.bridge}{_way_to_one_bridge(there, here)}"
            )


def _way_to_one_bridge(there: Subnet, here: Subnet) -> str:
    """Say how subnets can come to one bridge, if they are of different kinds."""
    if there.version == here.version:
        return ""
    remedy = "; configure both with one bridge in networks of the daemon"
    described_ones = [str(each.cidr) for each in (there, here) if each.name is None]
    if described_ones:
        remedy += (
            f", or delete the VMs in {' or '.join(described_ones)} first: that subnet got "
            "its own bridge with the first of them"
        )
    return remedy


def updated(nics: Iterable[Nic], subnets: Sequence[Subnet]) -> tuple[Nic, ...]:
    """
    Bring the interfaces of a VM up to date with the subnets as they are configured now.

    The gateway, the size and the bridge of a subnet may have changed since an interface
    was planned.  It keeps its name, its hardware address and its addresses.  One whose
    subnet is in the configuration no more has the bridge that it would have then, or stays
    on the one that it shares.
    """
    return tuple(_updated(nic, subnets) for nic in nics)


def _updated(nic: Nic, subnets: Sequence[Subnet]) -> Nic:
    found = [_subnet_now(nic, gateway, subnets) for gateway in nic.gateways]
    known = [subnet for subnet in found if subnet is not None]
    gateways = {subnet.version: subnet.gateway for subnet in known}
    return replace(
        nic,
        addresses=tuple(_in_subnet(address, known) for address in nic.addresses),
        routes=tuple(
            replace(route, gateway=gateways[route.destination.version])
            if route.destination.prefixlen == 0 and route.destination.version in gateways
            else route
            for route in nic.routes
        ),
        bridge=known[0].bridge if known else _kept_bridge(nic, subnets),
        gateways=tuple(
            gateway if subnet is None else subnet.interface
            for gateway, subnet in zip(nic.gateways, found, strict=True)
        ),
        mtu=_least_mtu(known),
    )


def _subnet_now(
    nic: Nic, gateway: InterfaceAddress, subnets: Sequence[Subnet]
) -> Subnet | None:
    """Return the subnet of the first address of the gateway's kind, or of the gateway."""
    of_kind = [a.ip for a in nic.addresses if a.version == gateway.version]
    return subnet_of(next(iter(of_kind), None), subnets) or subnet_of(gateway.ip, subnets)


def _kept_bridge(nic: Nic, subnets: Sequence[Subnet]) -> str:
    """
    Name the bridge of an interface none of whose subnets is in the configuration.

    It may share one with a subnet that no VM here has any more: that is one that the daemon
    made, or of the configuration.  One that the configuration had before is nobody's.
    """
    names = [described(gateway).bridge for gateway in nic.gateways]
    there = {subnet.version for subnet in subnets if subnet.bridge == nic.bridge}
    is_taken = any(gateway.version in there for gateway in nic.gateways)
    is_kept = there or is_described_bridge(nic.bridge)
    return nic.bridge if is_kept and not is_taken else names[0]


def _in_subnet(address: InterfaceAddress, subnets: Sequence[Subnet]) -> InterfaceAddress:
    """Return an address with the size of the subnet as it is now, if it is in one."""
    subnet = subnet_of(address.ip, subnets)
    return address if subnet is None else ip_interface((address.ip, subnet.cidr.prefixlen))


def shared_bridges(nics: Iterable[Nic]) -> dict[IPNetwork, str]:
    """
    Return the bridges of subnets that share one, as interfaces with addresses of both have
    it.

    Where such a subnet is not configured, nothing else tells which bridge it has.
    """
    return {
        gateway.network: nic.bridge
        for nic in nics
        if len(nic.gateways) > 1
        for gateway in nic.gateways
    }


def on_shared_bridges(
    nics: Iterable[Nic], bridges: Mapping[IPNetwork, str]
) -> tuple[Nic, ...]:
    """
    Have interfaces on the bridges that subnets share.

    @param bridges: see L{shared_bridges}.
    """
    return tuple(
        replace(nic, bridge=bridges.get(nic.gateways[0].network, nic.bridge))
        for nic in nics
    )
