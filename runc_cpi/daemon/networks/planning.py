"""From the addresses that a VM has to its interfaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from runc_cpi.daemon.networks.model import (
    MOST_INTERFACES,
    InterfaceAddress,
    IPNetwork,
    Nic,
    Route,
    Subnet,
    described,
    hardware_address,
    subnet_of,
)
from runc_cpi.daemon.networks.settings import way_out
from runc_cpi.errors import InvalidArgument

EVERYWHERE = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True, kw_only=True)
class Lease:
    """
    An address that a VM has in one of its networks, and the subnet that it is in.

    @ivar block: the block whose first address this is, if the VM has it whole.
    """

    address: IPv4Address
    subnet: Subnet
    block: IPNetwork | None = None


def plan(
    leases: Mapping[str, Lease], networks: Mapping[str, Mapping[str, Any]]
) -> tuple[Nic, ...]:
    """
    Plan the interfaces of a VM: one for each subnet, in the order of the networks.

    The default route is by the subnet of the network that is the default for C{gateway}.
    Of a block, the VM has no address on an interface but where it has no other: there it
    has the first one, for what is sent to the block has to find it.

    @param leases: the VM's addresses by network name, at least one.
    @param networks: the networks as create_vm has them.
    @raise InvalidArgument: if networks of one C{nic_group} are in several subnets, or
        there are too many subnets.
    """
    by_subnet: dict[IPv4Network, list[str]] = {}
    for name, lease in leases.items():
        by_subnet.setdefault(lease.subnet.cidr, []).append(name)
    if len(by_subnet) > MOST_INTERFACES:
        message = f"networks: are in {len(by_subnet)} subnets; a VM can be in "
        raise InvalidArgument(f"{message}{MOST_INTERFACES} at most")
    _check_groups(leases, networks)
    main = way_out(networks)
    return tuple(
        _nic(f"eth{number}", names, leases, is_way_out=main in names)
        for number, names in enumerate(by_subnet.values())
    )


def _nic(
    interface: str, names: Sequence[str], leases: Mapping[str, Lease], *, is_way_out: bool
) -> Nic:
    subnet = leases[names[0]].subnet
    chosen = [leases[name] for name in names]
    single = [lease.address for lease in chosen if lease.block is None]
    addresses = single or [chosen[0].address]
    default = Route(destination=EVERYWHERE, gateway=subnet.gateway)
    return Nic(
        networks=tuple(names),
        interface=interface,
        mac=hardware_address(addresses[0]),
        addresses=tuple(_within(subnet, address) for address in addresses),
        routes=(default,) if is_way_out else (),
        bridge=subnet.bridge,
        gateways=(subnet.interface,),
        mtu=subnet.mtu,
        blocks=tuple(lease.block for lease in chosen if lease.block is not None),
    )


def _within(subnet: Subnet, address: IPv4Address) -> IPv4Interface:
    return IPv4Interface((address, subnet.cidr.prefixlen))


def _check_groups(
    leases: Mapping[str, Lease], networks: Mapping[str, Mapping[str, Any]]
) -> None:
    """Networks that share an interface can only be in one subnet."""
    groups: dict[str, str] = {}
    for name, lease in leases.items():
        group = networks[name].get("nic_group")
        if group is None:
            continue
        first = groups.setdefault(str(group), name)
        if leases[first].subnet.cidr != lease.subnet.cidr:
            raise InvalidArgument(
                f"networks.{name}.nic_group: {group!r} is that of networks.{first}, too, "
                f"which is in another subnet, {leases[first].subnet.cidr}"
            )


def updated(nics: Iterable[Nic], subnets: Sequence[Subnet]) -> tuple[Nic, ...]:
    """
    Bring the interfaces of a VM up to date with the subnets as they are configured now.

    The gateway, the size and the bridge of a subnet may have changed since an interface
    was planned.  It keeps its name, its hardware address and its addresses.  One whose
    subnet is in the configuration no more has the bridge that it would have then.
    """
    return tuple(_updated(nic, subnets) for nic in nics)


def _updated(nic: Nic, subnets: Sequence[Subnet]) -> Nic:
    own = subnet_of(nic.addresses[0].ip if nic.addresses else None, subnets)
    gateway = nic.gateways[0]
    subnet = own or subnet_of(gateway.ip, subnets)
    if subnet is None:
        return replace(nic, bridge=described(gateway).bridge, mtu=None)
    return replace(
        nic,
        addresses=tuple(_in_subnet(address, subnet) for address in nic.addresses),
        routes=tuple(
            replace(route, gateway=subnet.gateway)
            if route.destination == EVERYWHERE
            else route
            for route in nic.routes
        ),
        bridge=subnet.bridge,
        gateways=(subnet.interface,),
        mtu=subnet.mtu,
    )


def _in_subnet(address: InterfaceAddress, subnet: Subnet) -> InterfaceAddress:
    """Return an address with the size of the subnet as it is now, if it is in it."""
    ours = isinstance(address, IPv4Interface) and address.ip in subnet.cidr
    return IPv4Interface((address.ip, subnet.cidr.prefixlen)) if ours else address
