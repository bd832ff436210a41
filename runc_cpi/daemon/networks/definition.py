"""The C{subnet_definition} of create_network, checked and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Network, IPv6Network
from typing import Any

from typing_extensions import Self

from runc_cpi.daemon.base.bounds import LEAST_MTU, MOST_MTU
from runc_cpi.daemon.networks.model import InterfaceAddress
from runc_cpi.daemon.networks.requests import LONGEST_PREFIX, gateway_in
from runc_cpi.errors import InvalidArgument, NotSupported

WHERE = "subnet_definition"
# What the director sends (create_network.rb of bosh-director).
FIELDS = ("type", "range", "gateway", "netmask_bits", "cloud_properties")
PROPERTIES = frozenset(("name", "mtu", "nat", "isolated"))
SHORTEST_PREFIX = 8  # bits; there are no larger private networks (RFC 1918)
_SIZES = f"must have {SHORTEST_PREFIX} to {LONGEST_PREFIX} bits, to have room for VMs"


@dataclass(frozen=True, kw_only=True)
class NetworkProperties:
    """
    What the C{cloud_properties} of a managed network mean here.

    @ivar name: what C{cloud_properties.name} of dynamic networks says to be in it, or
        L{None} for its C{network_cid}.
    @ivar mtu: bytes that a packet may have, or L{None} for as many as the host's way out
        takes.
    @ivar nat: whether its VMs leave it by the host's addresses, or L{None} if that is as
        in networks that VMs describe.
    @ivar isolated: whether its VMs are kept apart from those of other subnets.
    @ivar unknown: names that mean nothing here.
    """

    name: str | None = None
    mtu: int | None = None
    nat: bool | None = None
    isolated: bool = False
    unknown: tuple[str, ...] = ()

    @classmethod
    def parse(cls, raw: Any) -> Self:
        """
        Check C{cloud_properties}.  Other names are let pass: the director mixes in those
        of the network's availability zones, most of which are for VMs.

        @raise InvalidArgument: naming the property and what is accepted.
        """
        where = f"{WHERE}.cloud_properties"
        if not isinstance(raw, dict):
            raise InvalidArgument(f"{where}: {raw!r} must be an object")
        name, mtu = raw.get("name"), raw.get("mtu")
        if name is not None and not _is_name(name):
            raise InvalidArgument(f"{where}.name: {name!r} must be a name")
        if mtu is not None and not (_is_number(mtu) and LEAST_MTU <= mtu <= MOST_MTU):
            raise InvalidArgument(
                f"{where}.mtu: {mtu!r} must be a number of bytes from {LEAST_MTU} to "
                f"{MOST_MTU}"
            )
        for key in ("nat", "isolated"):
            if not isinstance(raw.get(key), (bool, type(None))):
                message = f"{where}.{key}: {raw[key]!r} must be true or false"
                raise InvalidArgument(message)
        return cls(
            name=name,
            mtu=mtu,
            nat=raw.get("nat"),
            isolated=bool(raw.get("isolated")),
            unknown=tuple(sorted(str(key) for key in raw.keys() - PROPERTIES)),
        )


@dataclass(frozen=True, kw_only=True)
class NetworkDefinition:
    """
    The network that a create_network call asks for.

    @ivar gateway: the host's address in it, with its size; L{None} if the daemon is to
        choose the addresses.
    @ivar prefixlen: its size, as bits of a netmask.
    @ivar cloud_properties: as they came, for the network's record.
    @ivar properties: what they mean.
    """

    gateway: InterfaceAddress | None
    prefixlen: int
    cloud_properties: Mapping[str, Any]
    properties: NetworkProperties

    @property
    def warnings(self) -> list[str]:
        """What the call asks for and does not get."""
        if not self.properties.unknown:
            return []
        names = ", ".join(self.properties.unknown)
        return [f"cloud_properties {names} mean nothing to networks of this CPI"]

    @classmethod
    def parse(cls, raw: Any) -> Self:
        """
        Check a definition.

        @raise InvalidArgument: naming the field, the value and what is accepted.
        @raise NotSupported: if there are fields that mean nothing here, or IPv6 is asked
            for.
        """
        if not isinstance(raw, dict):
            raise InvalidArgument(f"{WHERE}: {raw!r} must be an object")
        if unknown := sorted(str(key) for key in raw.keys() - set(FIELDS)):
            raise NotSupported(
                f"{WHERE}: this CPI does not know {', '.join(unknown)}; it takes "
                f"{', '.join(FIELDS)}"
            )
        # The contract's default: a network without a type is a manual one.
        kind = raw.get("type", "manual")
        if kind != "manual":
            message = f"{WHERE}.type: {kind!r} cannot be managed; it must be manual"
            raise InvalidArgument(message)
        cidr, bits = _range(raw.get("range")), _netmask_bits(raw.get("netmask_bits"))
        prefixlen = bits if cidr is None else cidr.prefixlen
        if prefixlen is None:
            message = f"{WHERE}.range: a network needs a range, or netmask_bits"
            raise InvalidArgument(message)
        if bits not in (None, prefixlen):
            message = f"{WHERE}.netmask_bits: {bits} is not that of the range {cidr}"
            raise InvalidArgument(message)
        properties = raw.get("cloud_properties")
        properties = {} if properties is None else properties
        return cls(
            gateway=_gateway(cidr, raw.get("gateway")),
            prefixlen=prefixlen,
            cloud_properties=properties,
            properties=NetworkProperties.parse(properties),
        )


def _range(value: Any) -> IPv4Network | None:
    where = f"{WHERE}.range"
    if value is None:
        return None
    try:
        if not isinstance(value, str):
            raise AddressValueError
        cidr = IPv4Network(value)
    except ValueError:
        if _is_ipv6(value):
            message = f"{where}: {value!r} is of IPv6; only IPv4 networks can be managed"
            raise NotSupported(message) from None
        message = f"{where}: {value!r} must be an IPv4 network such as 10.1.0.0/24"
        raise InvalidArgument(message) from None
    if not SHORTEST_PREFIX <= cidr.prefixlen <= LONGEST_PREFIX:
        raise InvalidArgument(f"{where}: {value!r} {_SIZES}")
    return cidr


def _netmask_bits(value: Any) -> int | None:
    if value is None:
        return None
    if not _is_number(value) or not SHORTEST_PREFIX <= value <= LONGEST_PREFIX:
        raise InvalidArgument(f"{WHERE}.netmask_bits: {value!r} {_SIZES}")
    return int(value)


def _gateway(cidr: IPv4Network | None, value: Any) -> InterfaceAddress | None:
    if cidr is not None:
        return gateway_in(f"{WHERE}.gateway", cidr, value)
    if value is not None:
        message = f"{WHERE}.gateway: {value!r} needs a range that it is in"
        raise InvalidArgument(message)
    return None


def _is_ipv6(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(IPv6Network(value, strict=False))
    except ValueError:
        return False


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
