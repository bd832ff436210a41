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

from runc_cpi.daemon.base.address_range import AddressRange

Address = IPv4Address | IPv6Address
MOST_INTERFACES = 16  # of one VM
# An address with the size of its subnet, as an interface has it.
InterfaceAddress = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network
# What a VM has alone: an address, or a whole block of them.
Holding = Address | IPNetwork


@dataclass(frozen=True, kw_only=True)
class Network:
    """
    One of the networks that create_vm asks for.

    @ivar kind: C{manual}, C{dynamic} or C{vip}.
    @ivar address: the address asked for, or L{None} if any will do.  That of a C{vip}
        network is one of the host's, and on no interface of the VM.
    @ivar block: the block of addresses asked for, of which C{address} is the first, or
        L{None} for that address alone.
    @ivar settings: the network as the call has it.
    """

    name: str
    kind: str
    address: IPv4Address | None
    settings: Mapping[str, Any]
    block: IPNetwork | None = None

    @property
    def holding(self) -> Holding | None:
        """All that is asked for, or L{None} if any address will do."""
        return self.address if self.block is None else self.block


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """
    A subnet of this host's VMs.

    @ivar gateway: the host's address in it, which is the VMs' default route.
    @ivar bridge: the name of the host's interface in it.
    @ivar name: that of the configuration; L{None} if the networks of VMs describe it.
    @ivar dns: the name servers of networks that name none; if it is empty, those that
        C{INameService} has for it.
    @ivar mtu: bytes that a packet of a VM may have, or L{None} for as many as the host's
        way out takes.
    @ivar reserved: addresses that no VM gets.
    @ivar dynamic: where the addresses of dynamic networks are, or L{None} for everywhere.
    @ivar nat: whether its VMs leave it by the host's addresses.
    @ivar isolated: whether its VMs are kept apart from those of other subnets.
    """

    cidr: IPv4Network
    gateway: IPv4Address
    bridge: str
    name: str | None = None
    dns: tuple[str, ...] = ()
    mtu: int | None = None
    reserved: tuple[AddressRange, ...] = ()
    dynamic: AddressRange | None = None
    nat: bool = True
    isolated: bool = False

    @property
    def interface(self) -> IPv4Interface:
        """The host's address, with the size of the subnet."""
        return IPv4Interface((self.gateway, self.cidr.prefixlen))


def described(gateway: IPv4Interface, *, nat: bool = True) -> Subnet:
    """
    Return the subnet that the networks of VMs describe, and no configuration.

    @param gateway: the host's address in it, with its size.
    @param nat: whether its VMs leave it by the host's addresses.
    """
    cidr = gateway.network
    bridge = f"runc-{int(cidr.network_address):08x}"
    return Subnet(cidr=cidr, gateway=gateway.ip, bridge=bridge, nat=nat)


@dataclass(frozen=True, kw_only=True)
class Route:
    """
    A route of a VM.

    @ivar destination: whom it leads to; C{0.0.0.0/0} makes it the default route.
    @ivar gateway: the next hop.
    """

    destination: IPNetwork
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
    @ivar bridge: the host's interface that it is connected to.
    @ivar gateways: the host's addresses there, with the sizes of the subnets: one for
        each subnet that the addresses are in.
    @ivar mtu: see L{Subnet}.
    @ivar blocks: the networks that are routed to the VM, and that it has alone.
    """

    networks: tuple[str, ...]
    interface: str
    mac: str
    addresses: tuple[InterfaceAddress, ...]
    routes: tuple[Route, ...]
    bridge: str
    gateways: tuple[IPv4Interface, ...]
    mtu: int | None
    blocks: tuple[IPNetwork, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what a VM's record holds."""
        return {
            "networks": list(self.networks),
            "interface": self.interface,
            "mac": self.mac,
            "addresses": [str(address) for address in self.addresses],
            "routes": [route.to_json() for route in self.routes],
            "bridge": self.bridge,
            "gateways": [str(gateway) for gateway in self.gateways],
            "mtu": self.mtu,
            "blocks": [str(block) for block in self.blocks],
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
            bridge=record["bridge"],
            gateways=tuple(IPv4Interface(gateway) for gateway in record["gateways"]),
            mtu=record["mtu"],
            blocks=tuple(ip_network(block) for block in record["blocks"]),
        )


def hardware_address(address: IPv4Address) -> str:
    """
    Return the hardware address of the interface whose main address this is.

    The next VM with that address gets the same one: neighbours remember it for up to a
    minute, and would send to the VM that is gone.
    """
    return "02:42:" + address.packed.hex(":")


def subnet_of(address: Address | None, subnets: Sequence[Subnet]) -> Subnet | None:
    """Return the subnet that has an address, or L{None} if none of them has."""
    for subnet in subnets:
        if address is not None and address in subnet.cidr:
            return subnet
    return None
