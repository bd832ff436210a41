"""The networks of a VM as the caller of create_vm and the VM's agent are told them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from runc_cpi.daemon.networks.model import Address, Network, Subnet
from runc_cpi.daemon.networks.requests import netmask_bits


def complete(
    networks: Sequence[Network],
    addresses: Mapping[str, Address],
    subnets: Mapping[str, Subnet],
) -> dict[str, dict[str, Any]]:
    """
    Return the networks as the VM has them: all that was asked for, and the addresses.

    Netmask and gateway are those of the subnet, whatever was asked for.

    @param addresses: the VM's addresses by network name.
    @param subnets: the subnets that they are in, by network name.
    """
    completed: dict[str, dict[str, Any]] = {}
    for network in networks:
        told = completed[network.name] = {**network.settings, "type": network.kind}
        if network.kind != "vip":
            subnet = subnets[network.name]
            told.update(_of_subnet(network, subnet))
            if not told.get("dns"):
                told["dns"] = list(subnet.dns)
        if network.kind == "dynamic":
            address = addresses[network.name]
            # By this the agent tells apart the kinds of IP of dynamic networks.
            told["prefix"] = address.max_prefixlen
            told["ip"] = str(address)
        if told.get("prefix") is not None:
            # The agent parses it as a string; a number breaks its settings.
            told["prefix"] = str(told["prefix"])
    return completed


def _of_subnet(network: Network, subnet: Subnet) -> dict[str, str]:
    """
    Return what the subnet decides, and the network has not or otherwise.

    Addresses of IPv6 can be written in several ways: what is right stays as it is.
    """
    # As directors write it.
    ours = {"netmask": subnet.cidr.netmask.exploded, "gateway": str(subnet.gateway)}
    # A manual network without a gateway is not the VM's way out, and gets none.
    asked = ours.keys() if network.kind == "dynamic" else network.settings.keys()
    return {
        key: value
        for key, value in ours.items()
        if key in asked and not _means(network.settings.get(key), value)
    }


def _means(asked: Any, ours: str) -> bool:
    """Say whether what was asked for is another way to write an address or a netmask."""
    bits = netmask_bits(asked)
    if bits is not None:
        return bits == netmask_bits(ours)
    try:
        return isinstance(asked, str) and ip_address(asked) == ip_address(ours)
    except ValueError:
        return False


def overruled(networks: Sequence[Network], subnets: Mapping[str, Subnet]) -> list[str]:
    """
    Name the settings that were asked for and are otherwise in the subnet.

    @param subnets: the subnets of the networks' addresses, by network name, if there are.
    """
    return [
        f"networks.{network.name}.{key}: {network.settings[key]!r}, here it is {value}"
        for network in networks
        if network.kind == "manual" and network.name in subnets
        for key, value in _of_subnet(network, subnets[network.name]).items()
        if network.settings[key] not in (value, None)
    ]


def way_out(networks: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> str:
    """
    Name the network by which a VM reaches everything else: the one that is the default
    for C{gateway}, or else the first.

    @param networks: those of a VM.
    @param names: those of one kind of IP, at least one, none of which is C{vip}.
    """
    chosen = [name for name in names if "gateway" in (networks[name].get("default") or [])]
    return [*chosen, *names][0]


def name_servers(networks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """
    Return the name servers that the agent chooses: those of the network that is the
    default for C{dns}, or else of the first that has any.

    @param networks: the networks as the VM has them.
    """
    real = [network for network in networks.values() if network["type"] != "vip"]
    chosen = [network for network in real if "dns" in (network.get("default") or [])]
    for network in [*chosen, *real]:
        if network.get("dns"):
            return list(network["dns"])
    return []
