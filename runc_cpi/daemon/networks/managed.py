"""Managed networks: those that the director makes and deletes by calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface
from uuid import uuid4

from twisted.internet.defer import DeferredLock
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.base.timestamps import now
from runc_cpi.daemon.networks.definition import NetworkDefinition
from runc_cpi.daemon.networks.forwarding import Forwarding
from runc_cpi.daemon.networks.interfaces import IAddressPools
from runc_cpi.daemon.networks.managed_network import ManagedNetwork, record_path
from runc_cpi.daemon.networks.model import Holding, Subnet
from runc_cpi.daemon.networks.networks import Networks
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.loading import load_all
from runc_cpi.daemon.storage.records import write_record
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.errors import AddressUnavailable, CloudError, NetworkInUse, NetworkNotFound


@dataclass(frozen=True, kw_only=True)
class NetworkFacts:
    """
    A network of this host's VMs, and who is in it.

    @ivar network_cid: of a managed one; L{None} for others.
    @ivar holders: who has which of its addresses, and which block of them.
    """

    network_cid: str | None
    subnet: Subnet
    holders: Mapping[Holding, str]


class ManagedNetworks:
    """
    All managed networks of this host.

    The subnet of one is there while its record is, whether it has VMs or not.  Calls come
    seldom, and are done one after the other.

    @param nat: whether VMs leave a network by the host's addresses that does not say.
    """

    log = Logger()

    def __init__(
        self,
        *,
        depot: Depot,
        scratch: Scratch,
        pools: IAddressPools,
        networks: Networks,
        forwarding: Forwarding,
        nat: bool,
    ) -> None:
        self._directory, self._scratch = depot.networks, scratch
        self._pools, self._networks, self._forwarding = pools, networks, forwarding
        self._nat = nat
        self._managed: dict[str, ManagedNetwork] = {}
        self._aside: set[str] = set()
        self._lock = DeferredLock()

    def load(self, repairs: Repairs) -> None:
        """
        Read the records; one that cannot be read is set aside, as it is.

        One whose subnet cannot be had any more stays, to be deleted.
        """
        records = map(record_path, sorted(self._directory.iterdir()))
        networks, self._aside = load_all(records, ManagedNetwork.from_json, repairs)
        for network in networks:
            self._managed[network.network_cid] = network
            with repairs.attempt(network.network_cid):
                self._keep(network)

    def _keep(self, network: ManagedNetwork) -> Subnet:
        subnet = network.subnet(nat=self._nat)
        if any(subnet.name == other.name for other in self._pools.lasting):
            raise AddressUnavailable(f"another network has the name {subnet.name!r}")
        self._pools.keep(subnet)
        return subnet

    def all(self) -> list[NetworkFacts]:
        """Return every network of this host, also those that are not managed."""
        cids = {
            network.subnet(nat=self._nat): network.network_cid
            for network in self._managed.values()
        }
        return [
            NetworkFacts(
                network_cid=cids.get(subnet),
                subnet=subnet,
                holders=self._pools.holders(subnet),
            )
            for subnet in self._pools.subnets
        ]

    async def create(self, definition: NetworkDefinition) -> ManagedNetwork:
        """
        Make a network, with its bridge.

        VMs may be in it already: those of a network that was not managed before.  A network
        that an earlier call for the same made, whose answer was lost, makes way.

        @raise AddressUnavailable: if it is outside of C{allowed_networks}, or overlaps
            with another network, or has the name of another.
        @raise CloudError: if the host fails; nothing is left then.
        @raise OSError: if its record cannot be written; nothing is left then.
        """
        async with self._lock:
            await self._make_way(definition)
            network = ManagedNetwork(
                network_cid=f"network-{uuid4()}",
                gateway=definition.gateway or await self._choose(definition.prefixlen),
                cloud_properties=definition.cloud_properties,
                created_at=now(),
            )
            await self._networks.check(network.subnet(nat=self._nat), "subnet_definition")
            subnet = self._keep(network)
            try:
                await self._networks.require([subnet])
                await self._forwarding.apply()
                await self._write(network)
            except BaseException:
                self._pools.let_go(subnet)
                await self._settle()
                raise
            self._managed[network.network_cid] = network
        self.log.info(
            "created {network_cid}, {cidr}",
            network_cid=network.network_cid,
            cidr=str(subnet.cidr),
        )
        return network

    async def _make_way(self, definition: NetworkDefinition) -> None:
        """
        Remove what an earlier call with the same definition made, if no VM is in it.

        Whoever was told of a network does not ask for it again, with the same gateway and
        properties.  Networks whose addresses the daemon chose may well be alike.
        """
        for network in list(self._managed.values()):
            is_same = (network.gateway, network.cloud_properties) == (
                definition.gateway,
                definition.cloud_properties,
            )
            if is_same and not self._pools.holders(network.subnet(nat=self._nat)):
                self.log.warn(
                    "{network_cid} makes way for a new network like it; nobody knows it",
                    network_cid=network.network_cid,
                )
                await self._remove(network)

    async def _choose(self, prefixlen: int) -> IPv4Interface:
        """Return the host's address in a network that nobody has."""
        cidr = await self._networks.free_range(prefixlen)
        return IPv4Interface((cidr[1], prefixlen))

    async def _write(self, network: ManagedNetwork) -> None:
        draft = self._scratch.new()
        try:
            await deferToThread(write_record, record_path(draft), network.to_json())
            await self._scratch.publish(draft, self._directory / network.network_cid)
        except BaseException:
            await self._scratch.discard(draft)
            raise

    async def delete(self, network_cid: str) -> None:
        """
        Delete a network that no VM is in.

        @raise NetworkNotFound: if there is no such network.
        @raise NetworkInUse: naming the VMs that are in it.
        @raise CloudError: if its record cannot be read.
        @raise OSError: if it cannot be taken away; it is there as before then.
        """
        async with self._lock:
            network = self._get(network_cid)
            holders = self._pools.holders(network.subnet(nat=self._nat))
            if holders:
                vms = ", ".join(sorted(set(holders.values())))
                raise NetworkInUse(f"{network_cid} is in use by {vms}")
            await self._remove(network)

    async def withdraw(self, network_cid: str) -> None:
        """
        Delete a network that nobody was told of.

        VMs that were in it before it was made stay in the network that they describe.

        @raise NetworkNotFound: if there is no such network.
        @raise OSError: if it cannot be taken away; it is there as before then.
        """
        async with self._lock:
            await self._remove(self._get(network_cid))

    def _get(self, network_cid: str) -> ManagedNetwork:
        if network_cid in self._aside:
            raise CloudError(
                f"the record of {network_cid} cannot be read, and it was set aside; the "
                "daemon's log tells more"
            )
        if network_cid not in self._managed:
            raise NetworkNotFound(f"there is no network {network_cid!r}")
        return self._managed[network_cid]

    async def _remove(self, network: ManagedNetwork) -> None:
        """
        Remove a record, and the bridge if no VM is on it.

        A VM that comes meanwhile has the network that it describes.
        """
        await self._scratch.remove(self._directory / network.network_cid)
        del self._managed[network.network_cid]
        self._pools.let_go(network.subnet(nat=self._nat))
        await self._settle()
        self.log.info("deleted {network_cid}", network_cid=network.network_cid)

    async def _settle(self) -> None:
        """Have the host do what is needed now; a failure is logged, and repaired later."""
        try:
            await self._networks.settle()
            await self._forwarding.apply()
        except CloudError as error:
            self.log.error("after a network: {error}", error=str(error))
