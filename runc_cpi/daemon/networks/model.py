"""The network model: what a VM asks for, the subnets of this host, a VM's interfaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Any

from typing_extensions import Self

Address = IPv4Address | IPv6Address
# An address with the size of its subnet, as an interface has it.
InterfaceAddress = IPv4Interface | IPv6Interface


@dataclass(frozen=True, kw_only=True)
class Network:
    """
    One of the networks that create_vm asks for.

    @ivar kind: C{manual}, C{dynamic} or C{vip}.
    @ivar address: the address asked for, or L{None} if any will do.  That of a C{vip}
        network is on no interface here, and is only in C{settings}.
    @ivar settings: the network as the call has it.
    """

    name: str
    kind: str
    address: IPv4Address | None
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """
    A subnet of this host's VMs.

    @ivar gateway: the host's address in it, which is the VMs' default route.
    @ivar bridge: the name of the host's interface in it.
    @ivar dns: the name servers of networks that name none.
    """

    cidr: IPv4Network
    gateway: IPv4Address
    bridge: str
    dns: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Route:
    """
    A route of a VM.

    @ivar destination: whom it leads to; C{0.0.0.0/0} makes it the default route.
    @ivar gateway: the next hop.
    """

    destination: IPv4Network | IPv6Network
    gateway: Address

    def to_json(self) -> dict[str, str]:
        """Return what a VM's record holds."""
        return {"destination": str(self.destination), "gateway": str(self.gateway)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """
        Read what L{to_json} returned.

        @raise KeyError: if a field is missing.
        @raise TypeError: if a field is of another type.
        @raise ValueError: if a field is no address.
        """
        return cls(
            destination=ip_network(record["destination"]),
            gateway=ip_address(record["gateway"]),
        )


@dataclass(frozen=True, kw_only=True)
class Nic:
    """
    A network interface of a VM, as planned when the VM was made.

    @ivar networks: the names of the networks that it serves.
    @ivar interface: its name in the VM.
    @ivar mac: its hardware address.
    @ivar addresses: its addresses; the first is the main one.
    @ivar routes: the VM's routes by it.
    """

    networks: tuple[str, ...]
    interface: str
    mac: str
    addresses: tuple[InterfaceAddress, ...]
    routes: tuple[Route, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what a VM's record holds."""
        return {
            "networks": list(self.networks),
            "interface": self.interface,
            "mac": self.mac,
            "addresses": [str(address) for address in self.addresses],
            "routes": [route.to_json() for route in self.routes],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """
        Read what L{to_json} returned.

        @raise KeyError: if a field is missing.
        @raise TypeError: if a field is of another type.
        @raise ValueError: if an address is none.
        """
        return cls(
            networks=tuple(record["networks"]),
            interface=record["interface"],
            mac=record["mac"],
            addresses=tuple(ip_interface(address) for address in record["addresses"]),
            routes=tuple(Route.from_json(route) for route in record["routes"]),
        )


def hardware_address(address: IPv4Address) -> str:
    """
    Return the hardware address of the interface whose main address this is.

    The next VM with that address gets the same one: neighbours remember it for up to a
    minute, and would send to the VM that is gone.
    """
    return "02:42:" + address.packed.hex(":")


def subnet_of(address: Address | None, subnets: Sequence[Subnet]) -> Subnet:
    """
    Return the subnet that has an address.

    The first subnet is that of a network that asks for no address.  It also stands in
    for the subnet of an address that none has: the address may be from before the
    configuration was changed.

    @param subnets: those of this host, at least one.
    """
    if address is not None:
        for subnet in subnets:
            if address in subnet.cidr:
                return subnet
    return subnets[0]
