"""Who has which port, and when rules change."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.networks.address_pools import AddressPools
from runc_cpi.daemon.networks.blocks import RoutedBlock
from runc_cpi.daemon.networks.claims import Claims
from runc_cpi.daemon.networks.forwarding import Forwarding
from runc_cpi.daemon.networks.peers import NO_PEERS
from runc_cpi.daemon.networks.ports import parse
from runc_cpi.daemon.networks.rules import NO_RULES
from runc_cpi.daemon.networks.vips import VipPolicy, Vips
from runc_cpi.daemon.networks.ways import WaysToBlocks, WaysToPeers
from runc_cpi.errors import (
    AddressUnavailable,
    CloudError,
    InvalidArgument,
    PortUnavailable,
)
from tests.fakes.assembly import SUBNET
from tests.fakes.networks import FakeFirewall, FakeHostPorts, FakeNetworker
from tests.fakes.script import Script

VIP = IPv4Address("192.0.2.1")
POLICY = VipPolicy(allowed=[AddressRange(first=VIP, last=VIP)])


class ForwardingTests(SynchronousTestCase):
    """L{Forwarding} over fakes."""

    def setUp(self) -> None:
        self.script = Script()
        self.firewall, self.host_ports = FakeFirewall(self.script), FakeHostPorts()
        pools = AddressPools([SUBNET])
        self.networker = FakeNetworker(self.script)
        self.forwarding = Forwarding(
            pools,
            self.firewall,
            self.host_ports,
            Vips(pools, POLICY),
            WaysToPeers(self.networker, NO_PEERS),
            WaysToBlocks(self.networker),
        )

    def admit(
        self,
        vm_cid: str,
        ports: Sequence[Any] = (),
        last: int = 2,
        vips: Sequence[IPv4Address] = (),
    ) -> Any:
        """Take a VM in."""
        addresses = [IPv4Address(f"10.0.0.{last}")]
        return Deferred.fromCoroutine(
            self.forwarding.admit(vm_cid, addresses, parse(list(ports)), vips)
        )

    def succeed(self, work: Any) -> Any:
        """Do something that must work."""
        return self.successResultOf(Deferred.fromCoroutine(work))

    def test_an_address_of_another_kind(self) -> None:
        """A port at an address of IPv6 leads to no VM that has IPv4 alone."""
        port = "[2001:db8::1]:8080:80"
        failure = self.failureResultOf(self.admit("vm-1", [port]), InvalidArgument)
        self.assertIn("IPv6, of which the VM has none", str(failure.value))
        failure = self.failureResultOf(self.admit("vm-1", ["[::]:80:80"]), InvalidArgument)
        self.assertIn("IPv6, of which the VM has none", str(failure.value))
        self.successResultOf(self.admit("vm-2", ["0.0.0.0:8081:80"]))
        self.successResultOf(self.admit("vm-1", ["8080:80"]))

    def test_rules_change_when_they_differ(self) -> None:
        """The second VM of a subnet changes nothing; the last takes all away."""
        self.successResultOf(self.admit("vm-1"))
        self.succeed(self.forwarding.connected("vm-1"))
        self.assertEqual(self.firewall.ruleset.translated, {SUBNET.bridge})
        self.successResultOf(self.admit("vm-2", last=3))
        self.succeed(self.forwarding.connected("vm-2"))
        self.succeed(self.forwarding.dismiss("vm-1"))
        self.assertEqual(self.script.done, ["apply rules"])
        self.succeed(self.forwarding.dismiss("vm-2"))
        self.assertEqual(self.firewall.ruleset, NO_RULES)

    def test_a_vm_with_ports_is_reflected(self) -> None:
        """Such a VM can meet itself."""
        self.successResultOf(self.admit("vm-1", ["80:80"]))
        self.succeed(self.forwarding.connected("vm-1"))
        self.assertEqual(self.script.done, ["apply rules", "reflect vm-1"])

    def test_blocks_are_routed_while_there_is_their_vm(self) -> None:
        """Routes follow from the VMs, also from those that were there before."""
        self.networker.subnets = [SUBNET]
        block, other = (
            RoutedBlock(
                block=IPv4Network(f"10.0.0.{first}/31"),
                address=IPv4Address("10.0.0.6"),
                bridge=SUBNET.bridge,
            )
            for first in (2, 4)
        )
        addresses = [IPv4Address("10.0.0.6")]
        self.forwarding.recall("vm-1", addresses, (), [block])
        self.succeed(self.forwarding.admit("vm-2", addresses, (), (), [other]))
        self.succeed(self.forwarding.apply())
        self.assertEqual(self.networker.blocks, {block, other})
        self.networker.blocks = frozenset()
        repairs = Repairs()
        self.succeed(self.forwarding.repair(repairs))
        self.assertEqual(self.networker.blocks, {block, other})
        self.succeed(self.forwarding.dismiss("vm-1"))
        self.assertEqual(self.networker.blocks, {other})

    def test_a_block_that_is_not_routed(self) -> None:
        """It fails the call for its VM alone; what is asked for later is tried again."""
        block = RoutedBlock(
            block=IPv4Network("10.0.0.2/31"),
            address=IPv4Address("10.0.0.6"),
            bridge=SUBNET.bridge,
        )
        addresses = [block.address]
        self.succeed(self.forwarding.admit("vm-1", addresses, (), (), [block]))
        self.successResultOf(self.admit("vm-2"))
        connecting = Deferred.fromCoroutine(self.forwarding.connected("vm-1"))
        failure = self.failureResultOf(connecting, CloudError)
        self.assertEqual(str(failure.value), "no route to 10.0.0.2/31")
        self.succeed(self.forwarding.connected("vm-2"))
        self.networker.subnets = [SUBNET]
        self.script.failing["route blocks"] = CloudError("no answer")
        connecting = Deferred.fromCoroutine(self.forwarding.connected("vm-1"))
        failure = self.failureResultOf(connecting, CloudError)
        self.assertEqual(str(failure.value), "no answer")
        self.succeed(self.forwarding.dismiss("vm-2"))
        self.script.failing.clear()
        self.networker.blocks = frozenset()
        self.succeed(self.forwarding.connected("vm-1"))
        self.assertEqual(self.networker.blocks, {block})

    def test_a_block_by_a_new_bridge(self) -> None:
        """Routes go with a bridge; they are back when anything is asked for again."""
        self.networker.subnets = [SUBNET]
        block = RoutedBlock(
            block=IPv4Network("10.0.0.2/31"),
            address=IPv4Address("10.0.0.6"),
            bridge=SUBNET.bridge,
        )
        self.succeed(self.forwarding.admit("vm-1", [block.address], (), (), [block]))
        self.succeed(self.forwarding.connected("vm-1"))
        self.networker.blocks = frozenset()
        self.succeed(self.forwarding.apply())
        self.assertEqual(self.networker.blocks, {block})

    def test_a_port_of_another_vm(self) -> None:
        """The error names the VM, and a VM that is refused has nothing."""
        self.successResultOf(self.admit("vm-1", ["8000-8010:80-90"]))
        refused = self.admit("vm-2", ["80:80", "8010:80"])
        failure = self.failureResultOf(refused, PortUnavailable)
        self.assertEqual(str(failure.value), "port 8010/tcp is published by vm-1")
        self.successResultOf(self.admit("vm-3", ["80:80", "8010:80/udp"]))
        self.succeed(self.forwarding.dismiss("vm-1"))
        self.successResultOf(self.admit("vm-4", ["8010:80"]))

    def test_a_port_of_the_host(self) -> None:
        """The error names the process, and a VM that is refused has nothing."""
        self.host_ports.taken = 22
        failure = self.failureResultOf(self.admit("vm-1", ["22:22"]), PortUnavailable)
        message = "port 22/tcp is in use by process 1 (init) of this host"
        self.assertEqual(str(failure.value), message)
        self.host_ports.taken = None
        self.successResultOf(self.admit("vm-2", ["22:22"]))

    def test_a_port_that_is_looked_at(self) -> None:
        """No rule leads to a port before it is found free, and nobody else gets it."""
        self.successResultOf(self.admit("vm-1"))
        answer: Deferred[str | None] = Deferred()
        self.host_ports.answer = answer
        waiting = self.admit("vm-2", ["22:22"], last=3)
        self.succeed(self.forwarding.apply())
        self.assertEqual(self.firewall.ruleset.redirections, frozenset())
        self.failureResultOf(self.admit("vm-3", ["22:22"]), PortUnavailable)
        answer.callback(None)
        self.successResultOf(waiting)
        self.succeed(self.forwarding.apply())
        (redirection,) = self.firewall.ruleset.redirections
        self.assertEqual(redirection.port, 22)

    def test_an_address_of_another_machine(self) -> None:
        """A port can be published at an address of the host alone."""
        refused = self.admit("vm-1", ["198.51.100.7:80:80"])
        failure = self.failureResultOf(refused, InvalidArgument)
        self.assertIn("198.51.100.7 is no address of this host", str(failure.value))

    def test_records_that_overlap(self) -> None:
        """The first VM keeps a port; the other is in without any."""
        address, ports = IPv4Address("10.0.0.2"), parse(["80:80"])
        self.forwarding.recall("vm-1", [address], ports)
        with self.assertRaises(PortUnavailable):
            self.forwarding.recall("vm-2", [address + 1], ports)
        self.succeed(self.forwarding.apply())
        (redirection,) = self.firewall.ruleset.redirections
        self.assertEqual(redirection.vm_address, address)

    def test_a_vm_with_a_vip(self) -> None:
        """Such a VM can meet itself; nobody else has the address until it is gone."""
        self.successResultOf(self.admit("vm-1", vips=[VIP]))
        self.succeed(self.forwarding.connected("vm-1"))
        self.assertEqual(self.script.done, ["apply rules", "reflect vm-1"])
        (vip,) = self.firewall.ruleset.vips
        self.assertEqual((vip.address, vip.vm_address), (VIP, IPv4Address("10.0.0.2")))
        refused = self.admit("vm-2", last=3, vips=[VIP])
        failure = self.failureResultOf(refused, AddressUnavailable)
        self.assertEqual(str(failure.value), f"vip {VIP} is in use by vm-1")
        self.succeed(self.forwarding.dismiss("vm-1"))
        self.assertEqual(self.firewall.ruleset, NO_RULES)
        self.successResultOf(self.admit("vm-3", vips=[VIP]))

    def test_a_port_at_a_vip(self) -> None:
        """All ports of a vip lead to its VM; others have theirs at all other addresses."""
        self.successResultOf(self.admit("vm-1", [f"{VIP}:80:80"]))
        refused = self.admit("vm-2", vips=[VIP])
        failure = self.failureResultOf(refused, PortUnavailable)
        message = f"vip {VIP}: port {VIP}:80/tcp is published by vm-1"
        self.assertEqual(str(failure.value), message)
        self.succeed(self.forwarding.dismiss("vm-1"))
        self.successResultOf(self.admit("vm-2", ["80:80"], vips=[VIP]))
        failure = self.failureResultOf(
            self.admit("vm-1", [f"{VIP}:90:80"]), PortUnavailable
        )
        self.assertEqual(str(failure.value), f"port {VIP}:90/tcp: {VIP} is the vip of vm-2")
        self.successResultOf(self.admit("vm-1", ["90:80"]))

    def test_a_vm_that_is_refused_has_no_vip(self) -> None:
        """Whatever it is refused for."""
        self.host_ports.taken = 22
        self.failureResultOf(self.admit("vm-1", ["22:22"], vips=[VIP]), PortUnavailable)
        self.successResultOf(self.admit("vm-2", vips=[VIP]))

    def test_what_another_daemon_has(self) -> None:
        """It cannot be had here, and a VM that is refused has nothing."""
        vips = frozenset([VIP])
        claims = Claims(owner="another", redirections=frozenset(), vips=vips)
        self.firewall.others = [claims]
        refused = self.admit("vm-1", ["80:80"], vips=[VIP])
        self.failureResultOf(refused, AddressUnavailable)
        refused = self.admit("vm-1", [f"{VIP}:80:80"])
        self.failureResultOf(refused, PortUnavailable)
        self.successResultOf(self.admit("vm-1"))
        self.firewall.others = []
        self.successResultOf(self.admit("vm-2", ["80:80"], vips=[VIP]))

    def test_records_with_a_vip(self) -> None:
        """A VM that was there has its vip; one that cannot have it is in without it."""
        address = IPv4Address("10.0.0.2")
        for number in (1, 2):
            self.forwarding.recall(f"vm-{number}", [address + number], ())
        self.forwarding.recall_vip("vm-1", VIP)
        with self.assertRaises(AddressUnavailable):
            self.forwarding.recall_vip("vm-2", VIP)
        with self.assertRaises(AddressUnavailable):
            self.forwarding.recall_vip("vm-2", VIP + 1)
        self.succeed(self.forwarding.apply())
        (vip,) = self.firewall.ruleset.vips
        self.assertEqual(vip.vm_address, address + 1)

    def test_repairs(self) -> None:
        """What somebody took away is put back, and noted; failures are noted as well."""
        repairs = Repairs()
        self.succeed(self.forwarding.repair(repairs))
        self.assertEqual(repairs.done, [])
        self.firewall.missing = True
        self.succeed(self.forwarding.repair(repairs))
        self.assertEqual(len(repairs.done), 1)
        self.script.failing["apply rules"] = CloudError("network: no")
        self.successResultOf(self.admit("vm-1"))
        self.succeed(self.forwarding.repair(repairs))
        self.assertEqual(repairs.problems, ["forwarding: network: no"])
