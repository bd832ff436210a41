"""Blocks of addresses: who can have which, and where the host sends them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, ip_network
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.networks import requests
from runc_cpi.daemon.networks.address_pools import AddressPools
from runc_cpi.daemon.networks.blocks import RoutedBlock, routed_blocks
from runc_cpi.daemon.networks.model import Nic, Subnet
from runc_cpi.daemon.networks.networks import Networks
from runc_cpi.daemon.networks.planning import plan
from runc_cpi.errors import AddressUnavailable
from tests.fakes.networks import FakeNameService, FakeNetworker
from tests.fakes.script import Script
from tests.unit.networks.examples import DYNAMIC, MANUAL, OTHER, SUBNET

RESERVED = AddressRange(first=IPv4Address("10.0.3.0"), last=IPv4Address("10.0.3.7"))
BLOCK = {**MANUAL, "ip": "10.0.2.16", "prefix": "28", "default": None}


class BlocksTests(SynchronousTestCase):
    """VMs of two subnets ask for blocks."""

    def setUp(self) -> None:
        self.begin(replace(SUBNET, reserved=(RESERVED,)), OTHER)

    def begin(self, *subnets: Subnet) -> None:
        """Have networks of these subnets, with their bridges."""
        self.pools = AddressPools(subnets)
        host = FakeNetworker(Script())
        host.subnets = [*subnets, replace(OTHER, gateway=IPv4Address("10.0.4.200"))]
        self.networks = Networks(self.pools, host, FakeNameService(), [])

    def assign(self, given: dict[str, Any], owner: str = "vm-1") -> Deferred[Any]:
        """Assign addresses."""
        networks = requests.parse(given)
        return Deferred.fromCoroutine(self.networks.assign(networks, owner))

    def planned(self, given: dict[str, Any], owner: str = "vm-1") -> tuple[Nic, ...]:
        """Assign addresses, and return the interfaces."""
        return plan(self.successResultOf(self.assign(given, owner)), given)

    def refusal(self, ip: str, prefix: str, owner: str = "vm-2") -> str:
        """Return why a block cannot be had."""
        given = {"n": {**BLOCK, "ip": ip, "prefix": prefix}}
        failure = self.failureResultOf(self.assign(given, owner), AddressUnavailable)
        return str(failure.value)

    def test_a_block_beside_an_address(self) -> None:
        """The block is behind the address that the VM has in its subnet."""
        (nic,) = self.planned({"block": BLOCK, "one": MANUAL})
        self.assertEqual(nic.networks, ("block", "one"))
        self.assertEqual([str(address) for address in nic.addresses], ["10.0.0.2/16"])
        self.assertEqual(nic.blocks, (ip_network("10.0.2.16/28"),))
        routed = RoutedBlock(
            block=nic.blocks[0], address=IPv4Address("10.0.0.2"), bridge="br0"
        )
        self.assertEqual(routed_blocks([nic]), {routed})

    def test_a_block_in_another_subnet(self) -> None:
        """Where the VM has nothing else, it has the first address of the block."""
        there = {**BLOCK, "ip": "10.9.0.32"}
        _, nic = self.planned({"one": MANUAL, "block": there})
        self.assertEqual([str(address) for address in nic.addresses], ["10.9.0.32/24"])
        (routed,) = routed_blocks([nic])
        self.assertEqual((str(routed.address), routed.bridge), ("10.9.0.32", "br1"))

    def test_blocks_of_others(self) -> None:
        """Nobody else gets a part of a block; the holder is named, and gone at the end."""
        self.planned({"one": MANUAL, "block": BLOCK})
        for ip, prefix, reason in [
            ("10.0.2.17", "32", "address 10.0.2.17 is in use by vm-1"),
            ("10.0.2.24", "29", "block 10.0.2.24/29 overlaps with 10.0.2.16/28, which is"),
            ("10.0.2.0", "24", "block 10.0.2.0/24 overlaps with 10.0.2.16/28, which is"),
        ]:
            self.assertIn(reason, self.refusal(ip, prefix))
            self.assertIn("in use by vm-1", self.refusal(ip, prefix))
        self.assertEqual(self.pools.owner(IPv4Address("10.0.2.31")), "vm-1")
        self.assertIsNone(self.pools.owner(IPv4Address("10.0.2.32")))
        self.assertIn("vm-1", self.pools.holders(self.pools.subnets[0]).values())
        self.successResultOf(self.pools.release("vm-1"))
        self.planned({"n": {**BLOCK, "ip": "10.0.2.0", "prefix": "24"}}, "vm-2")

    def test_what_no_block_can_have(self) -> None:
        """A block has no address that means something else, and is within its subnet."""
        self.planned({"one": MANUAL})
        for ip, prefix, reason in [
            ("10.0.0.2", "31", "block 10.0.0.2/31 has 10.0.0.2, which is in use by vm-1"),
            ("10.0.0.0", "28", "has 10.0.0.1, which is the gateway of the VM network"),
            ("10.0.255.240", "28", "has 10.0.255.255, which is the broadcast address of"),
            ("10.9.0.0", "28", "has 10.9.0.0, which is the network address of 10.9.0.0/24"),
            ("10.0.3.0", "24", f"overlaps with {RESERVED}, which is reserved in"),
            ("10.9.0.0", "23", "is not within 10.9.0.0/24, which has 10.9.0.0"),
            ("10.0.4.192", "28", "has 10.0.4.200, which is the host's own"),
        ]:
            self.assertIn(reason, self.refusal(ip, prefix))
            self.successResultOf(self.pools.release("vm-2"))

    def test_a_block_that_is_reserved_since(self) -> None:
        """A VM keeps a block that it had before the configuration reserved it."""
        block = IPv4Network("10.0.3.0/28")
        self.successResultOf(self.pools.claim(block, "vm-1", recorded=True))
        self.assertIn("in use by vm-1", self.refusal("10.0.3.0", "28"))

    def test_a_recorded_block_after_changes(self) -> None:
        """
        A VM keeps a block though the configuration has its gateway there by now, or but a
        part of it; that is told.  What another VM has of it is that one's.
        """
        network = IPv4Network("10.0.0.0/28")
        for gateway, block, reason in [
            (network[9], "10.0.0.8/30", "has 10.0.0.9, which is the gateway"),
            (network[1], "10.0.0.0/27", "is not within 10.0.0.0/28"),
        ]:
            self.begin(Subnet(cidr=network, gateway=gateway, bridge="br0"))
            held = ip_network(block)
            claimed = self.pools.claim(held, "vm-1", recorded=True)
            self.assertIn(reason, str(self.failureResultOf(claimed).value))
            self.assertIn("in use by vm-1", self.refusal("10.0.0.11", "32"))
            self.assertIsNone(self.pools.owner(gateway))
            late = self.pools.claim(held, "vm-2", recorded=True)
            self.assertIn("in use by vm-1", str(self.failureResultOf(late).value))

    def test_dynamic_networks_pass_blocks_over(self) -> None:
        """Blocks are not gone through one address after the other, however large."""
        network, block = IPv4Network("10.0.0.0/8"), IPv4Network("10.128.0.0/10")
        dynamic = AddressRange(first=network[2], last=block[-1])
        subnet = Subnet(cidr=network, gateway=network[1], bridge="br0", dynamic=dynamic)
        self.begin(subnet)
        self.planned({"n": {**BLOCK, "ip": str(block[0]), "prefix": "10"}})
        for owner, expected in [("vm-2", block[0] - 1), ("vm-3", block[0] - 2)]:
            leases = self.successResultOf(self.assign({"d": DYNAMIC}, owner))
            self.assertEqual(leases["d"].address, expected)
        self.successResultOf(self.pools.release("vm-1"))
        leases = self.successResultOf(self.assign({"d": DYNAMIC}, "vm-4"))
        self.assertEqual(leases["d"].address, block[-1])
