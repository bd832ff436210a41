"""Managed networks, over fakes of the host."""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from threading import Event
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.networks import requests
from runc_cpi.daemon.networks.definition import NetworkDefinition
from runc_cpi.daemon.networks.managed_network import ManagedNetwork
from runc_cpi.daemon.networks.model import Address, Subnet
from runc_cpi.daemon.networks.networks import Networks
from runc_cpi.daemon.networks.vips import VipPolicy
from runc_cpi.daemon.storage import drafts
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.errors import AddressUnavailable, CloudError, NetworkInUse, NetworkNotFound
from tests.fakes.assembly import NO_VIPS, SUBNET, assemble, new_vm
from tests.fakes.networks import FakeNameService
from tests.fakes.script import Script

RANGE, BRIDGE = "10.1.2.0/24", "runc-0a010200"
IN_IT: dict[str, Any] = {
    "type": "manual",
    "ip": "10.1.2.9",
    "netmask": "255.255.255.0",
    "gateway": "10.1.2.1",
}


class ManagedNetworksTests(TestCase):
    """The networks of one daemon have a real directory and real address pools."""

    timeout = 20

    async def setUp(self) -> None:
        self.script = Script()
        self.depot = Depot(Path(os.path.abspath(self.mktemp())))
        self.depot.prepare()
        self.addCleanup(self.depot.release)
        await self.begin()

    async def begin(self, subnet: Subnet = SUBNET, vips: VipPolicy = NO_VIPS) -> None:
        """Start a daemon over what is on disk."""
        self.parts = assemble(self.script, self.depot, subnet=subnet, vips=vips)
        self.managed, self.pools = self.parts.networks, self.parts.pools
        self.repairs = await self.parts.load()

    def create(self, **changes: Any) -> Deferred[ManagedNetwork]:
        """Make a network."""
        definition = NetworkDefinition.parse({"range": RANGE, **changes})
        return Deferred.fromCoroutine(self.managed.create(definition))

    async def assign(self, owner: str, **network: Any) -> Address:
        """Give an owner an address in a network, as create_vm does."""
        networks = Networks(
            self.pools, self.parts.networker, FakeNameService(), [IPv4Network("10.0.0.0/8")]
        )
        asked = requests.parse({"n": network})
        return (await networks.assign(asked, owner))["n"].address

    def bridges(self) -> list[str]:
        """Return the bridges that the host has."""
        return [subnet.bridge for subnet in self.parts.networker.subnets]

    def on_disk(self) -> list[str]:
        """Return which networks have a record, after a look at what is left over."""
        self.assertEqual(os.listdir(self.depot.scratch), [])
        return os.listdir(self.depot.networks)

    async def test_what_the_director_is_told(self) -> None:
        """It is told the addresses, and the properties that name the network."""
        network = await self.create(
            gateway="10.1.2.254", cloud_properties={"nat": False, "cpu": 1}
        )
        self.assertEqual(
            network.addresses,
            {"range": RANGE, "gateway": "10.1.2.254", "reserved": []},
        )
        self.assertEqual(
            network.told_properties, {"nat": False, "cpu": 1, "name": network.network_cid}
        )
        self.assertEqual(self.bridges(), [SUBNET.bridge, BRIDGE])
        self.assertEqual(self.on_disk(), [network.network_cid])
        self.assertEqual(
            os.stat(self.depot.networks / network.network_cid).st_mode & 0o77, 0
        )

    async def test_it_is_there_without_a_vm(self) -> None:
        """It stays when its last VM goes, and when the daemon starts again."""
        properties = {"name": "lan", "mtu": 1400, "nat": False, "isolated": True}
        network = await self.create(cloud_properties=properties)
        subnet = self.pools.subnets[-1]
        self.assertEqual(
            (subnet.name, subnet.mtu, subnet.nat, subnet.isolated),
            ("lan", 1400, False, True),
        )
        for _ in range(2):
            await self.assign("vm-1", **IN_IT)
            await self.pools.release("vm-1")
            self.assertEqual(self.pools.subnets, (SUBNET, subnet))
            self.assertEqual(
                [f.network_cid for f in self.managed.all()][1:], self.on_disk()
            )
            self.assertEqual(self.on_disk(), [network.network_cid])
            self.assertEqual(self.bridges(), [SUBNET.bridge, BRIDGE])
            await self.begin()
        self.assertEqual(self.repairs.problems, [])

    async def test_dynamic_networks_find_it_by_its_name(self) -> None:
        """A dynamic network names it, by the name that it was given or by its cid."""
        for properties in ({"name": "lan"}, {}):
            network = await self.create(cloud_properties=properties)
            named = {"cloud_properties": {"name": network.name}}
            address = await self.assign("vm-1", type="dynamic", **named)
            self.assertEqual(address, IPv4Address("10.1.2.254"))
            await self.pools.release("vm-1")
            await self.managed.delete(network.network_cid)

    async def test_deletion(self) -> None:
        """Nothing is left of a deleted network; a second time it is not found."""
        network = await self.create()
        await self.managed.delete(network.network_cid)
        self.assertEqual(self.on_disk(), [])
        self.assertEqual(self.bridges(), [SUBNET.bridge])
        self.assertEqual(self.pools.subnets, (SUBNET,))
        with self.assertRaises(NetworkNotFound):
            await self.managed.delete(network.network_cid)
        self.assertEqual((await self.create()).addresses, network.addresses)

    async def test_a_network_in_use(self) -> None:
        """A network that VMs are in is not deleted, and they are named."""
        network = await self.create()
        for number, owner in enumerate(("vm-2", "vm-1", "vm-2"), 9):
            await self.assign(owner, **{**IN_IT, "ip": f"10.1.2.{number}"})
        with self.assertRaisesRegex(NetworkInUse, "is in use by vm-1, vm-2$"):
            await self.managed.delete(network.network_cid)
        self.assertEqual(len(self.managed.all()[1].holders), 3)
        for owner in ("vm-1", "vm-2"):
            await self.pools.release(owner)
        await self.managed.delete(network.network_cid)

    async def test_a_network_with_a_block(self) -> None:
        """A VM that has but a block there keeps it, and the route goes with the VM."""
        network = await self.create()
        with open(os.devnull, "rb") as image:
            stemcell = await self.parts.stemcells.create(image.fileno(), {})
        block = {**IN_IT, "ip": "10.1.2.8", "prefix": "29"}
        vm = await self.parts.vms.create(new_vm(stemcell.cid, networks={"n": block}))
        (routed,) = self.parts.networker.blocks
        self.assertEqual((str(routed.block), routed.bridge), ("10.1.2.8/29", BRIDGE))
        with self.assertRaisesRegex(NetworkInUse, f"is in use by {vm.vm_cid}$"):
            await self.managed.delete(network.network_cid)
        await self.parts.vms.delete(vm.vm_cid)
        self.assertEqual(self.parts.networker.blocks, frozenset())
        await self.managed.delete(network.network_cid)

    async def test_a_network_that_vms_described_before(self) -> None:
        """A network becomes a managed one with its VMs; withdrawn, it is theirs again."""
        with open(os.devnull, "rb") as image:
            stemcell = await self.parts.stemcells.create(image.fileno(), {})
        vm = await self.parts.vms.create(new_vm(stemcell.cid, networks={"n": IN_IT}))
        network = await self.create(cloud_properties={"isolated": True})
        self.assertEqual(self.parts.firewall.ruleset.isolated, {BRIDGE})
        with self.assertRaisesRegex(NetworkInUse, vm.vm_cid):
            await self.managed.delete(network.network_cid)
        await self.managed.withdraw(network.network_cid)
        self.assertEqual(self.parts.firewall.ruleset.isolated, frozenset())
        self.assertEqual(self.on_disk(), [])
        self.assertEqual([subnet.name for subnet in self.pools.subnets], [None, None])
        self.assertEqual(self.bridges(), [SUBNET.bridge, BRIDGE])
        await self.parts.vms.delete(vm.vm_cid)
        self.assertEqual(self.bridges(), [SUBNET.bridge])

    async def test_a_vm_that_comes_during_the_deletion(self) -> None:
        """The network stays for the VM, as one that the VM describes."""
        network = await self.create()
        synced = Event()
        self.addCleanup(synced.set)
        self.patch(drafts, "sync_directory", lambda _: synced.wait())
        deletion = Deferred.fromCoroutine(self.managed.delete(network.network_cid))
        while os.listdir(self.depot.networks):
            await deferLater(reactor, 0.001)
        await self.assign("vm-1", **IN_IT)
        synced.set()
        await deletion
        self.assertEqual([subnet.name for subnet in self.pools.subnets], [None, None])
        self.assertEqual(self.bridges(), [SUBNET.bridge, BRIDGE])
        await self.pools.release("vm-1")
        self.assertEqual(self.pools.subnets, (SUBNET,))

    async def test_a_call_whose_answer_was_lost(self) -> None:
        """The same call again replaces the network, unless a VM is in it by then."""
        lost = await self.create(gateway="10.1.2.1", cloud_properties={"name": "lan"})
        await self.begin()
        network = await self.create(gateway="10.1.2.1", cloud_properties={"name": "lan"})
        self.assertNotEqual(network.network_cid, lost.network_cid)
        self.assertEqual(self.on_disk(), [network.network_cid])
        self.assertEqual(self.bridges(), [SUBNET.bridge, BRIDGE])
        for changes in ({"gateway": "10.1.2.9"}, {"cloud_properties": {"name": "dmz"}}):
            failure = await self.assertFailure(self.create(**changes), AddressUnavailable)
            self.assertIn("10.1.2.0/24", str(failure))
        await self.assign("vm-1", **IN_IT)
        again = self.create(gateway="10.1.2.1", cloud_properties={"name": "lan"})
        await self.assertFailure(again, AddressUnavailable)
        self.assertEqual(self.on_disk(), [network.network_cid])

    async def test_a_network_where_vips_can_be(self) -> None:
        """It is refused, and nothing is made."""
        vip = IPv4Address("10.1.2.7")
        range_of_one = AddressRange(first=vip, last=vip)
        await self.begin(vips=VipPolicy(allowed=[range_of_one]))
        failure = await self.assertFailure(self.create(), AddressUnavailable)
        self.assertIn("10.1.2.0/24 overlaps with 10.1.2.7-10.1.2.7 of", str(failure))
        self.assertEqual(self.on_disk(), [])

    async def test_networks_with_chosen_addresses(self) -> None:
        """They may be alike, and none makes way for another."""
        bits = {"range": None, "netmask_bits": 24}
        networks = [await self.create(**bits) for _ in range(2)]
        self.assertCountEqual(self.on_disk(), [n.network_cid for n in networks])

    async def test_what_cannot_be_beside_others(self) -> None:
        """A network or a name that is there already is refused, and nothing is made."""
        network = await self.create(cloud_properties={"name": "lan"})
        for changes, reason in (
            ({}, "network 10.1.2.0/24 is the network 'lan' of this host"),
            ({"range": "10.1.0.0/16"}, "overlaps with 10.1.2.0/24 of this host"),
            ({"range": "10.1.2.0/25"}, "overlaps with 10.1.2.0/24 of this host"),
            (
                {"range": "10.2.0.0/24", "cloud_properties": {"name": "lan"}},
                "another network has the name 'lan'",
            ),
        ):
            with self.assertRaisesRegex(AddressUnavailable, reason):
                await self.create(**changes)
        await self.assign("vm-1", **{**IN_IT, "ip": "10.2.0.9", "gateway": "10.2.0.1"})
        with self.assertRaisesRegex(AddressUnavailable, "whose gateway is 10.2.0.1"):
            await self.create(range="10.2.0.0/24", gateway="10.2.0.254")
        self.assertEqual(self.on_disk(), [network.network_cid])

    async def test_addresses_that_the_daemon_chooses(self) -> None:
        """With C{netmask_bits} alone, each network gets a range that nobody has."""
        await self.create(range="10.0.1.0/24")
        chosen = [await self.create(range=None, netmask_bits=24) for _ in range(2)]
        self.assertEqual(
            [network.gateway for network in chosen],
            [IPv4Interface("10.0.2.1/24"), IPv4Interface("10.0.3.1/24")],
        )

    async def test_a_host_that_fails(self) -> None:
        """If a bridge or a record cannot be made, nothing is left."""
        self.script.failing = {"set up": CloudError("no bridge")}
        with self.assertRaisesRegex(CloudError, "no bridge"):
            await self.create()
        self.script.failing.clear()
        os.rename(self.depot.networks, self.depot.work_dir / "elsewhere")
        with self.assertRaises(OSError):
            await self.create()
        os.rename(self.depot.work_dir / "elsewhere", self.depot.networks)
        self.assertEqual(self.on_disk(), [])
        self.assertEqual(self.pools.subnets, (SUBNET,))
        self.assertEqual(self.bridges(), [SUBNET.bridge])

    async def test_a_record_that_cannot_be_taken_away(self) -> None:
        """The network is there as before."""
        network = await self.create()
        path = self.depot.networks / network.network_cid
        os.rename(path, self.depot.work_dir / "elsewhere")
        with self.assertRaises(OSError):
            await self.managed.delete(network.network_cid)
        os.rename(self.depot.work_dir / "elsewhere", path)
        self.assertEqual(self.bridges(), [SUBNET.bridge, BRIDGE])
        await self.managed.delete(network.network_cid)

    async def test_a_bridge_that_cannot_be_removed(self) -> None:
        """The network is deleted; the bridge is removed later."""
        network = await self.create()
        self.script.failing = {"set up": CloudError("no")}
        await self.managed.delete(network.network_cid)
        self.assertEqual(self.on_disk(), [])
        self.script.failing.clear()
        await self.parts.reconciler.repair()
        self.assertEqual(self.bridges(), [SUBNET.bridge])

    async def test_records_that_are_no_good(self) -> None:
        """They are set aside, and calls about them are refused."""
        network = await self.create()
        record = self.depot.networks / network.network_cid / "network.json"
        good = record.read_text()
        for bad in (
            "{",
            "{}",
            good.replace('"schema": 1', '"schema": 2'),
            good.replace("10.1.2.1/24", "10.1.2.1/240"),
            good.replace('"cloud_properties": {}', '"cloud_properties": {"mtu": "x"}'),
            good.replace('"created_at"', '"made_at"'),
        ):
            self.assertNotEqual(bad, good)
            record.write_text(bad)
            await self.begin()
            (problem,) = self.repairs.problems
            self.assertIn(f"set {record} aside", problem)
            self.assertEqual(self.pools.subnets, (SUBNET,))
            with self.assertRaisesRegex(CloudError, "cannot be read"):
                await self.managed.delete(network.network_cid)

    async def test_a_network_that_is_in_the_configuration_since(self) -> None:
        """It is reported, and can be deleted; the configured one stays."""
        network = await self.create()
        await self.begin(
            Subnet(
                cidr=IPv4Network("10.1.0.0/16"),
                gateway=IPv4Address("10.1.0.1"),
                bridge="br0",
            )
        )
        (problem,) = self.repairs.problems
        self.assertIn(f"{network.network_cid}: network 10.1.2.0/24", problem)
        await self.assign("vm-1", **IN_IT)
        await self.managed.delete(network.network_cid)
        self.assertEqual(len(self.pools.subnets), 1)
        self.assertEqual(self.pools.owner(IPv4Address("10.1.2.9")), "vm-1")
