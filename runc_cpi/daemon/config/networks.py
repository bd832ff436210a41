"""The networks of VMs in the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_network
from itertools import combinations
from typing import Any

from typing_extensions import Self

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.base.bounds import LEAST_MTU, LEAST_MTU_OF_IPV6, MOST_MTU
from runc_cpi.daemon.config.addresses import (
    Address,
    Network,
    address_range,
    gateway_in,
    interface_name,
    name_servers,
    vm_network,
)
from runc_cpi.daemon.config.checks import ConfigError, boolean, quoted, text, whole_number
from runc_cpi.daemon.config.keys import Section, key, required

# RFC 1918 and RFC 4193.
PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]


def _name(key: str, value: str) -> str:
    if not value or not value.isprintable():
        raise ConfigError(f"{key}: {value!r} must be a name")
    return value


def _anything(key: str, value: Any) -> Any:
    """Leave a value as it is: what it must be depends on the network's other keys."""
    return value


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(Section):
    """A network of VMs that is always there."""

    name: str = required(
        text("a name", _name),
        "what `cloud_properties.name` of dynamic networks says to be in it",
    )
    cidr: Network = required(
        text("a network such as 10.0.0.0/16", vm_network),
        "its addresses, such as `10.0.0.0/16` or `fd00::/64`",
    )
    bridge: str = required(
        text("an interface name", interface_name),
        "the host's interface to it; made if missing. One of IPv4 and one of IPv6 can have "
        "the same",
    )
    gateway: Address = key(
        None,
        _anything,
        "the host's address in it, and the VMs' default route; for a change of it see "
        "`gateway` above",
        value=IPv4Address(0),
        shown="first host of `cidr`",
    )
    mtu: int | None = key(
        None,
        whole_number(LEAST_MTU, MOST_MTU),
        "bytes that a packet may have, 576 to 65535; with IPv6 at least 1280",
        shown="that of the host's default route",
    )
    nat: bool = key(
        True,
        boolean,
        "whether its VMs reach other networks by the host's addresses. Without it those of "
        "IPv6 do by their own, and those of IPv4 do not",
        shown="`true`, or `false` with IPv6",
    )
    isolated: bool = key(
        False, boolean, "whether its VMs are kept apart from those of other networks"
    )
    reserved: tuple[AddressRange, ...] = key(
        [],
        _anything,
        "addresses that no VM gets, as `[10.0.0.2-10.0.0.9, 10.0.0.64/28]`",
        value=(),
    )
    dynamic: AddressRange | None = key(
        None,
        _anything,
        "where the addresses of dynamic networks are taken from, the highest first",
        shown="all of `cidr`",
    )
    dns: tuple[str, ...] = key(
        [],
        name_servers,
        "name servers of networks that name none",
        shown="the gateway; see `dns_server`",
    )

    @classmethod
    def parse_section(cls, name: str, raw: Any) -> Self:
        """
        Check a network.

        @param name: of the section.
        @param raw: what YAML gives for it.
        @raise ConfigError: naming the key, the value and what is accepted.
        """
        if not isinstance(raw, dict):
            raise ConfigError(f"{name}: {quoted(raw)} must be keys and values")
        values = cls.read(f"{name}.", raw)
        cidr = values["cidr"]
        gateway = values.get("gateway") or str(cidr[1])
        if not isinstance(gateway, str):
            raise ConfigError(f"{name}.gateway: {quoted(gateway)} must be an address")
        values["gateway"] = gateway_in(f"{name}.gateway", cidr, gateway)
        values.setdefault("nat", cidr.version == 4)
        mtu = values.get("mtu")
        if mtu is not None and cidr.version == 6 and mtu < LEAST_MTU_OF_IPV6:
            raise ConfigError(
                f"{name}.mtu: {mtu} must be at least {LEAST_MTU_OF_IPV6}, as {cidr} is of "
                "IPv6"
            )
        if values.get("dynamic") is not None:
            values["dynamic"] = address_range(f"{name}.dynamic", cidr, values["dynamic"])
        reserved = values.get("reserved") or []
        if not isinstance(reserved, list):
            raise ConfigError(f"{name}.reserved: {quoted(reserved)} must be a list")
        values["reserved"] = tuple(
            address_range(f"{name}.reserved", cidr, item) for item in reserved
        )
        return cls(**values)


def network_list(key: str, value: Any) -> tuple[NetworkConfig, ...] | None:
    """Check for a list of networks that can be side by side, or nothing."""
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        raise ConfigError(f"{key}: {quoted(value)} must be a list of networks")
    networks = tuple(
        NetworkConfig.parse_section(f"{key}[{index}]", item)
        for index, item in enumerate(value)
    )
    _check_distinct(key, networks)
    return networks


def _check_distinct(key: str, networks: Sequence[NetworkConfig]) -> None:
    for one, other in combinations(networks, 2):
        if one.name == other.name:
            raise ConfigError(f"{key}: two networks have the name {one.name!r}")
        if one.bridge == other.bridge and one.cidr.version == other.cidr.version:
            raise ConfigError(f"{key}: two networks have the bridge {one.bridge!r}")
        if one.cidr.overlaps(other.cidr):
            raise ConfigError(
                f"{key}: {one.cidr} of {one.name!r} overlaps with {other.cidr} of "
                f"{other.name!r}"
            )


def network_ranges(key: str, value: Any) -> tuple[Network, ...]:
    """Check for a list of networks."""
    if not isinstance(value, list):
        raise ConfigError(f"{key}: {quoted(value)} must be a list of networks")
    return tuple(text("a network", _network)(key, item) for item in value)


def _network(key: str, value: str) -> Network:
    try:
        return ip_network(value)
    except ValueError as error:
        message = f"{key}: {value!r} must be a network such as 10.0.0.0/8: {error}"
        raise ConfigError(message) from None
