"""How VMs are connected: L{INetworker}."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_interface

from runc_cpi.daemon.host.network.vxlan import interface_of
from runc_cpi.daemon.networks.blocks import RoutedBlock
from runc_cpi.daemon.networks.interfaces import INetworker
from runc_cpi.daemon.networks.model import Subnet, described
from runc_cpi.daemon.networks.peers import (
    NO_PEERS,
    Overlay,
    Peer,
    Peering,
    Reached,
)
from tests.behaviour.case import DAEMON, SUBNET, VM, HostCase

OTHER = described(IPv4Interface("10.98.0.1/24"))
# It has the bridge of another one.
SIX = described(ip_interface("fd00:98::1/64"), bridge=SUBNET.bridge)
# Other hosts, in a network that this one has an address in.
PEERS = tuple(
    Peer(address=IPv4Address(f"10.99.0.{n}"), cidrs=(IPv4Network(f"10.{n}.0.0/16"),))
    for n in (7, 8)
)
ONE = Peering(peers=PEERS[:1], source=IPv4Address("10.99.0.1"))
OVERLAY = Overlay(interface=interface_of(DAEMON), id=7, port=4789)
BOTH = Peering(peers=PEERS, overlay=OVERLAY)


class Behaviour(HostCase):
    """A VM's interface, from its making to its removal."""

    interfaces = (INetworker,)

    async def connected(self) -> dict[str, list[str]]:
        """Return the bridges of the VMs that have an interface."""
        found = await self.networker.connected()
        return {name: list(bridges) for name, bridges in found.items()}

    async def test_a_vm_is_connected_until_it_is_disconnected(self) -> None:
        """C{connected} names a VM from C{connect} to C{disconnect}."""
        self.assertEqual(await self.connected(), {})
        await self.connect()
        self.assertEqual(await self.connected(), {VM: [SUBNET.bridge]})
        await self.networker.disconnect(VM)
        self.assertEqual(await self.connected(), {})

    async def test_disconnecting_a_vm_that_is_not_connected(self) -> None:
        """To disconnect a VM without an interface is no error."""
        await self.networker.disconnect(VM)
        await self.connect()
        await self.networker.disconnect(VM)
        await self.networker.disconnect(VM)

    async def test_a_vm_can_be_connected_again(self) -> None:
        """A VM gets an interface again, as it does at each boot."""
        await self.connect()
        await self.networker.disconnect(VM)
        await self.connect()
        self.assertEqual(await self.connected(), {VM: [SUBNET.bridge]})

    async def test_a_vm_is_guarded_from_the_beginning(self) -> None:
        """C{guard} finds nothing to do after C{connect}."""
        await self.connect()
        self.assertIs(await self.guard(), False)

    async def test_the_host_has_the_gateways_of_its_subnets(self) -> None:
        """The host has an address in each subnet that there is, and in no other."""
        for subnets in ([SUBNET], [SUBNET, OTHER], [SUBNET, OTHER], [OTHER], [SUBNET]):
            await self.networker.set_up(subnets)
            own = set(await self.networker.own_addresses())
            gateways = {subnet.gateway for subnet in (SUBNET, OTHER)}
            wanted = {subnet.gateway for subnet in subnets}
            self.assertEqual(own & gateways, wanted)

    async def test_subnets_of_one_bridge(self) -> None:
        """A bridge has the gateways of all its subnets, and of those alone."""
        known: list[Subnet] = []
        for subnets in ([SUBNET, SIX], [SIX], [SUBNET, SIX], [SUBNET], []):
            await self.networker.set_up(subnets, known)
            own = set(await self.networker.own_addresses())
            wanted = {subnet.gateway for subnet in subnets}
            self.assertEqual(own & {SUBNET.gateway, SIX.gateway}, wanted)
            for subnet in subnets:
                self.assertIsNone(await self.networker.overlap(subnet))
            known = subnets

    async def test_known_subnets_stay(self) -> None:
        """Subnets that are known to be there stay, if they are wanted."""
        await self.networker.set_up([SUBNET, OTHER])
        await self.networker.set_up([SUBNET, OTHER], [SUBNET, OTHER])
        own = set(await self.networker.own_addresses())
        self.assertLessEqual({SUBNET.gateway, OTHER.gateway}, own)
        await self.networker.set_up([SUBNET], [SUBNET, OTHER])
        self.assertNotIn(OTHER.gateway, await self.networker.own_addresses())

    async def test_the_own_subnet_does_not_overlap(self) -> None:
        """A subnet that is there does not overlap with itself."""
        await self.networker.set_up([SUBNET, OTHER])
        self.assertIsNone(await self.networker.overlap(SUBNET))
        self.assertIsNone(await self.networker.overlap(OTHER))

    async def test_the_own_subnets_are_no_networks_of_the_host(self) -> None:
        """The subnets that are there are not among the networks that the host has."""
        await self.networker.set_up([SUBNET, OTHER])
        networks = await self.networker.own_networks()
        self.assertEqual(set(networks) & {SUBNET.cidr, OTHER.cidr}, set())

    async def test_routes_to_blocks(self) -> None:
        """Routes come, change and go, and there is none where there is no bridge."""
        here, there = (
            RoutedBlock(
                block=IPv4Network("10.98.0.16/28"),
                address=IPv4Address("10.98.0.5"),
                bridge=subnet.bridge,
            )
            for subnet in (SUBNET, OTHER)
        )
        await self.networker.set_up([SUBNET, OTHER])
        for blocks in ([here], [there], [], [here]):
            for changed in (True, False):
                routed = await self.networker.route(blocks)
                self.assertEqual(routed, Reached(changed=changed))
        await self.networker.reach(NO_PEERS)
        self.assertEqual(await self.networker.route([here]), Reached(changed=False))
        self.assertIsNone(await self.networker.overlap(OTHER))
        # A bridge that is made anew has none of its routes.
        await self.networker.set_up([OTHER])
        await self.networker.set_up([SUBNET, OTHER])
        self.assertEqual(await self.networker.route([here]), Reached(changed=True))
        routed = await self.networker.route([here], afresh=True)
        self.assertEqual(routed, Reached(changed=False))
        await self.networker.set_up([SUBNET])
        routed = await self.networker.route([there])
        self.assertTrue(routed.changed)
        self.assertEqual(len(routed.problems), 1)
        self.assertIn(str(there.block), routed.problems[0])

    async def test_ways_to_peers(self) -> None:
        """Ways come, change and go; what is there already needs nothing."""
        for peering in (NO_PEERS, ONE, BOTH, BOTH, ONE, NO_PEERS, NO_PEERS):
            await self.networker.reach(peering)
            reached = await self.networker.reach(peering)
            self.assertEqual(reached, Reached(changed=False))

    async def test_ways_that_change(self) -> None:
        """It is told that something was changed."""
        for peering in (ONE, BOTH, NO_PEERS):
            reached = await self.networker.reach(peering)
            self.assertEqual(reached, Reached(changed=True))
