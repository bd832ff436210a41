"""From the networks that a VM asks for to its addresses and its interfaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from runc_cpi.daemon.networks.interfaces import IAddressPools
from runc_cpi.daemon.networks.model import (
    Network,
    Nic,
    Route,
    Subnet,
    hardware_address,
    subnet_of,
)

INTERFACE = "eth0"
EVERYWHERE = IPv4Network("0.0.0.0/0")


async def assign(
    networks: Sequence[Network], owner: str, pools: IAddressPools
) -> dict[str, IPv4Address]:
    """
    Take an address for each network but the C{vip} ones.

    Addresses that are asked for are taken first, so that no dynamic network gets them.

    @param owner: the VM's cid.
    @return: the addresses by network name, in the order of C{networks}.
    @raise AddressUnavailable: if one cannot be had; C{owner} may have others by then.
    """
    addresses: dict[str, IPv4Address] = {}
    for network in networks:
        if network.address is not None:
            await pools.claim(network.address, owner)
            addresses[network.name] = network.address
    for network in networks:
        if network.kind == "dynamic":
            addresses[network.name] = await pools.acquire(pools.subnets[0], owner)
    return {n.name: addresses[n.name] for n in networks if n.name in addresses}


def plan(
    addresses: Mapping[str, IPv4Address], subnets: Sequence[Subnet]
) -> tuple[Nic, ...]:
    """
    Plan the interfaces of a VM: one, with all its addresses.

    @param addresses: the VM's addresses by network name; the first is the main one,
        and its subnet has the gateway of the VM.
    @param subnets: those of this host, at least one.
    """
    main = next(iter(addresses.values()))
    nic = Nic(
        networks=tuple(addresses),
        interface=INTERFACE,
        mac=hardware_address(main),
        addresses=tuple(
            IPv4Interface((address, subnet_of(address, subnets).cidr.prefixlen))
            for address in addresses.values()
        ),
        routes=(Route(destination=EVERYWHERE, gateway=subnet_of(main, subnets).gateway),),
    )
    return (nic,)


def updated(nics: Sequence[Nic], subnets: Sequence[Subnet]) -> tuple[Nic, ...]:
    """
    Bring the interfaces of a VM up to date with the subnets as they are configured now.

    The gateway and the size of a subnet may have changed since an interface was planned.
    It keeps its name, its hardware address and its addresses.

    @param subnets: those of this host, at least one.
    """
    return tuple(_updated(nic, subnets) for nic in nics)


def _updated(nic: Nic, subnets: Sequence[Subnet]) -> Nic:
    main = nic.addresses[0].ip if nic.addresses else None
    gateway = subnet_of(main, subnets).gateway
    return replace(
        nic,
        addresses=tuple(
            IPv4Interface((address.ip, subnet_of(address.ip, subnets).cidr.prefixlen))
            if isinstance(address, IPv4Interface)
            else address
            for address in nic.addresses
        ),
        routes=tuple(
            replace(route, gateway=gateway) if route.destination == EVERYWHERE else route
            for route in nic.routes
        ),
    )
