"""The C{networks} argument of create_vm: checked, and completed with addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, ip_address
from typing import Any

from runc_cpi.daemon.networks.interfaces import IAddressPool
from runc_cpi.errors import InvalidArgument

TYPES = ("manual", "dynamic", "vip")


@dataclass(frozen=True, kw_only=True)
class NetworkPlan:
    """
    The host's side of every VM's network.

    @ivar network: the network of the bridge.
    @ivar gateway: the host's address in it, the VMs' default route.
    @ivar dns: name servers for networks that name none.
    """

    network: IPv4Network
    gateway: IPv4Address
    dns: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Request:
    """
    One network that was asked for.

    @ivar address: the address asked for, or L{None} if any will do.
    @ivar settings: the network as it came.
    """

    name: str
    kind: str
    address: IPv4Address | None
    settings: Mapping[str, Any]


def parse(networks: Any) -> list[Request]:
    """
    Check the C{networks} of a create_vm call.

    @raise InvalidArgument: naming the network, the field and what is accepted.
    """
    if not isinstance(networks, dict):
        raise InvalidArgument("networks: must be an object of networks by name")
    requests = [_parse(name, settings) for name, settings in networks.items()]
    if not any(request.kind != "vip" for request in requests):
        raise InvalidArgument("networks: must hold a manual or a dynamic network")
    _check_distinct(requests)
    return requests


def _check_distinct(requests: Sequence[Request]) -> None:
    owners: dict[IPv4Address, str] = {}
    for request in requests:
        if request.address is not None:
            other = owners.setdefault(request.address, request.name)
            if other != request.name:
                raise InvalidArgument(
                    f"networks.{request.name}.ip: {str(request.address)!r} is that of "
                    f"networks.{other}; each network needs its own"
                )


def _parse(name: str, settings: Any) -> Request:
    where = f"networks.{name}"
    if not isinstance(settings, dict):
        raise InvalidArgument(f"{where}: {settings!r} must be an object")
    # The contract's default: a network without a type is a manual one.
    kind = settings.get("type", "manual")
    if kind not in TYPES:
        raise InvalidArgument(f"{where}.type: {kind!r} is none of {', '.join(TYPES)}")
    dns = settings.get("dns")
    if dns is not None and not _are_addresses(dns):
        raise InvalidArgument(f"{where}.dns: {dns!r} must be a list of addresses")
    default = settings.get("default")
    if default is not None and not _are_strings(default):
        raise InvalidArgument(f"{where}.default: {default!r} must be a list of strings")
    prefix = settings.get("prefix")
    if isinstance(prefix, bool) or not isinstance(prefix, (int, str, type(None))):
        raise InvalidArgument(f"{where}.prefix: {prefix!r} must be a number of bits")
    address = None
    if kind == "manual":
        address = _address(f"{where}.ip", settings.get("ip"))
    return Request(name=name, kind=kind, address=address, settings=settings)


def _are_addresses(value: Any) -> bool:
    try:
        # What follows a "%" in an IPv6 address can be anything to ip_address().
        return _are_strings(value) and all(
            ip_address(item) and item.isprintable() and " " not in item for item in value
        )
    except ValueError:
        return False


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _address(where: str, value: Any) -> IPv4Address:
    try:
        if not isinstance(value, str):
            raise AddressValueError
        return IPv4Address(value)
    except AddressValueError:
        message = f"{where}: {value!r} is no IPv4 address; a manual network needs one"
        raise InvalidArgument(message) from None


async def assign(
    requests: Sequence[Request], owner: str, pool: IAddressPool
) -> dict[str, IPv4Address]:
    """
    Get C{owner} an address for each network but the virtual ones.

    What is asked for by address comes before what is not, so that a dynamic network
    never takes it away.

    @return: the addresses by network name, in the order asked for.
    @raise AddressUnavailable: if one cannot be had; others may be held then.
    """
    addresses: dict[str, IPv4Address] = {}
    for request in requests:
        if request.address is not None:
            addresses[request.name] = await pool.claim(request.address, owner)
    for request in requests:
        if request.kind == "dynamic":
            addresses[request.name] = await pool.acquire(owner)
    return {r.name: addresses[r.name] for r in requests if r.name in addresses}


def complete(
    requests: Sequence[Request],
    addresses: Mapping[str, IPv4Address],
    plan: NetworkPlan,
) -> dict[str, dict[str, Any]]:
    """
    Return the networks as the VM has them: all that was asked, and the addresses.

    Netmask and gateway are the host's, whatever was asked for.
    """
    networks: dict[str, dict[str, Any]] = {}
    for request in requests:
        network = networks[request.name] = {**request.settings, "type": request.kind}
        if request.kind != "vip":
            network.update(_of_host(request, plan))
        if network.get("prefix") is not None:
            # The agent parses it as a string; a number breaks its settings.
            network["prefix"] = str(network["prefix"])
        if request.kind == "dynamic":
            network["ip"] = str(addresses[request.name])
        if request.kind != "vip" and not network.get("dns"):
            network["dns"] = list(plan.dns)
    return networks


def _of_host(request: Request, plan: NetworkPlan) -> dict[str, str]:
    ours = {"netmask": str(plan.network.netmask), "gateway": str(plan.gateway)}
    # A manual network without a gateway is not the VM's way out, and gets none.
    asked = ours.keys() if request.kind == "dynamic" else request.settings.keys()
    return {key: value for key, value in ours.items() if key in asked}


def overruled(requests: Sequence[Request], plan: NetworkPlan) -> list[str]:
    """Name what was asked for and is otherwise on this host."""
    return [
        f"networks.{request.name}.{key}: {request.settings[key]!r}, here it is {value}"
        for request in requests
        if request.kind == "manual"
        for key, value in _of_host(request, plan).items()
        if request.settings[key] not in (value, None)
    ]


def name_servers(networks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """
    Return the name servers that count: those of the network that is the default for
    C{dns}, as the agent chooses, or else of the first that has any.
    """
    real = [network for network in networks.values() if network["type"] != "vip"]
    chosen = [network for network in real if "dns" in (network.get("default") or [])]
    for network in [*chosen, *real]:
        if network.get("dns"):
            return list(network["dns"])
    return []
