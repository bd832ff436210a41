"""The network model: what a VM asks for, the subnets of this host, a VM's interfaces."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
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
# How the bridges of subnets are called that networks describe, of IPv4 and of IPv6.
_DESCRIBED_BRIDGE = re.compile(r"runc-(?:[0-9a-f]{8}|[0-9a-f]{10})")
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
    address: Address | None
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
    @ivar bridge: the name of the host's interface in it.  A subnet of IPv4 and one of IPv6
        can have one bridge.
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

    cidr: IPNetwork
    gateway: Address
    bridge: str
    name: str | None = None
    dns: tuple[str, ...] = ()
    mtu: int | None = None
    reserved: tuple[AddressRange, ...] = ()
    dynamic: AddressRange | None = None
    nat: bool = True
    isolated: bool = False

    @property
    def interface(self) -> InterfaceAddress:
        """The host's address, with the size of the subnet."""
        return ip_interface((self.gateway, self.cidr.prefixlen))

    @property
    def version(self) -> int:
        """The kind of IP that it is of: 4 or 6."""
        return self.cidr.version


def described(
    gateway: InterfaceAddress, *, nat: bool = True, bridge: str | None = None
) -> Subnet:
    """
    Return the subnet that the networks of VMs describe, and no configuration.

    @param gateway: the host's address in it, with its size.
    @param nat: whether VMs leave subnets of IPv4 by the host's addresses.  Those of IPv6
        they leave by their own.
    @param bridge: that of the subnet that it shares one with; L{None} for one of its own.
    """
    cidr = gateway.network
    return Subnet(
        cidr=cidr,
        gateway=gateway.ip,
        bridge=bridge or _bridge_of(cidr),
        nat=nat and cidr.version == 4,
    )


def _bridge_of(cidr: IPNetwork) -> str:
    """Name a bridge: the kernel takes 15 bytes, which no network of IPv6 fits in."""
    if cidr.version == 4:
        return f"runc-{int(cidr.network_address):08x}"
    return f"runc-{sha256(cidr.network_address.packed).hexdigest()[:10]}"


def is_described_bridge(bridge: str) -> bool:
    """Say whether a bridge is one of a subnet that networks describe, by its name."""
    return _DESCRIBED_BRIDGE.fullmatch(bridge) is not None


@dataclass(frozen=True, kw_only=True)
class Route:
    """
    A route of a VM.

    @ivar destination: whom it leads to; C{0.0.0.0/0} or C{::/0} makes it the default one.
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
        each subnet that the addresses are in, of which there is one of a kind.
    @ivar mtu: see L{Subnet}.
    @ivar blocks: the networks that are routed to the VM, and that it has alone.
    """

    networks: tuple[str, ...]
    interface: str
    mac: str
    addresses: tuple[InterfaceAddress, ...]
    routes: tuple[Route, ...]
    bridge: str
    gateways: tuple[InterfaceAddress, ...]
    mtu: int | None
    blocks: tuple[IPNetwork, ...] = ()

    def leads_out(self, version: int) -> bool:
        """Say whether the VM's default route of a kind of IP, 4 or 6, is by it."""
        return any(
            route.destination.prefixlen == 0 and route.destination.version == version
            for route in self.routes
        )

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
            gateways=tuple(ip_interface(gateway) for gateway in record["gateways"]),
            mtu=record["mtu"],
            blocks=tuple(ip_network(block) for block in record["blocks"]),
        )


def hardware_address(address: Address) -> str:
    """
    Return the hardware address of the interface whose main address this is.

    The next VM with that address gets the same one: neighbours remember it for up to a
    minute, and would send to the VM that is gone.
    """
    if address.version == 4:
        return "02:42:" + address.packed.hex(":")
    # 40 bits are enough to tell apart the VMs of one bridge.
    return "06:" + sha256(address.packed).digest()[:5].hex(":")


def link_local(mac: str) -> IPv6Address:
    """
    Return the address that an interface has on its link alone (RFC 4291, appendix A).

    @param mac: its hardware address.
    """
    octets = bytes.fromhex(mac.replace(":", ""))
    first = bytes([octets[0] ^ 2])
    return IPv6Address(
        b"\xfe\x80" + bytes(6) + first + octets[1:3] + b"\xff\xfe" + octets[3:]
    )


def subnet_of(address: Address | None, subnets: Sequence[Subnet]) -> Subnet | None:
    """Return the subnet that has an address, or L{None} if none of them has."""
    for subnet in subnets:
        if address is not None and address in subnet.cidr:
            return subnet
    return None
