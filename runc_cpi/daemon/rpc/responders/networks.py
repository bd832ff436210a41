"""Answers to commands about networks."""

from __future__ import annotations

from typing import Any

from twisted.protocols import amp

from runc_cpi.daemon.networks.definition import NetworkDefinition
from runc_cpi.daemon.networks.managed import ManagedNetworks
from runc_cpi.daemon.rpc import commands
from runc_cpi.daemon.rpc.receipts import Receipts

Answer = dict[str, Any]


class NetworkResponders(amp.CommandLocator):
    """
    Answers commands about networks.

    @param networks: all managed networks of this host.
    @param receipts: those that the caller at the other end owes.
    """

    def __init__(self, networks: ManagedNetworks, receipts: Receipts) -> None:
        self._networks, self._receipts = networks, receipts

    @commands.CreateNetwork.responder
    async def create_network(
        self, subnet_definition: Any, confirms: bool = False
    ) -> Answer:
        definition = NetworkDefinition.parse(subnet_definition)
        network = await self._networks.create(definition)
        await self._receipts.made(network.network_cid, self._networks.withdraw, confirms)
        return {
            "network_cid": network.network_cid,
            "addresses": network.addresses,
            "cloud_properties": network.told_properties,
            "warnings": definition.warnings,
        }

    @commands.DeleteNetwork.responder
    async def delete_network(self, network_cid: str) -> Answer:
        await self._networks.delete(network_cid)
        return {}

    @commands.ListNetworks.responder
    def list_networks(self) -> Answer:
        return {
            "networks": [
                {
                    "network_cid": facts.network_cid,
                    "name": facts.subnet.name,
                    "cidr": str(facts.subnet.cidr),
                    "gateway": str(facts.subnet.gateway),
                    "bridge": facts.subnet.bridge,
                    "dns": list(facts.subnet.dns),
                    "mtu": facts.subnet.mtu,
                    "nat": facts.subnet.nat,
                    "isolated": facts.subnet.isolated,
                    "reserved": [str(part) for part in facts.subnet.reserved],
                    "addresses": {str(a): owner for a, owner in facts.holders.items()},
                }
                for facts in self._networks.all()
            ]
        }
