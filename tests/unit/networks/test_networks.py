"""VMs get addresses in subnets that are configured, or that they describe."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.networks import requests
from runc_cpi.daemon.networks.address_pools import AddressPools
from runc_cpi.daemon.networks.bridge_ports import MOST_PORTS, no_port_left
from runc_cpi.daemon.networks.model import Subnet, described
from runc_cpi.daemon.networks.networks import Networks
from runc_cpi.daemon.networks.peers import Peer
from runc_cpi.errors import (
    AddressUnavailable,
    CloudError,
    InvalidArgument,
    VMCreationFailed,
)
from tests.fakes.networks import FakeNameService, FakeNetworker
from tests.fakes.script import Script
from tests.unit.networks.examples import DYNAMIC, MANUAL, OTHER, SUBNET, VIP

ALLOWED = [IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12")]
ELSEWHERE: dict[str, Any] = {
    **MANUAL,
    "ip": "10.244.0.34",
    "netmask": "255.255.255.0",
    "gateway": "10.244.0.1",
}
BRIDGE = "runc-0af40000"


class Host(FakeNetworker):
    """
    A host with a network of its own.

    @ivar refused: bridges that cannot be made.
    @ivar looked_at: the bridges that were looked at when they were last set up.
    """

    refused: Collection[str] = ()
    looked_at: Sequence[str] = ()

    def set_up(self, subnets: Sequence[Subnet], known: Collection[Subnet] = ()) -> Any:
        """Refuse some, and note which are to be looked at."""
        self.looked_at = [subnet.bridge for subnet in subnets if subnet not in known]
        failed = {s: "not this one" for s in subnets if s.bridge in self.refused}
        super().set_up([subnet for subnet in subnets if subnet not in failed])
        return succeed(failed)

    def overlap(self, subnet: Subnet) -> Any:
        """Have one network, 10.10.0.0/16."""
        own = IPv4Network("10.10.0.0/16")
        return succeed("eth9" if subnet.cidr.overlaps(own) else None)

    def own_addresses(self) -> Any:
        """Have one address in a subnet of VMs beside the gateways."""
        return succeed({IPv4Address("10.0.255.254")})


class NetworksTests(SynchronousTestCase):
    """There are two subnets in the configuration, and a host with a network of its own."""

    def setUp(self) -> None:
        self.pools = AddressPools([SUBNET, OTHER])
        self.script = Script()
        self.host, self.names = Host(self.script), FakeNameService()
        self.networks = Networks(self.pools, self.host, self.names, ALLOWED)

    def assign(self, given: dict[str, Any], owner: str = "vm-1") -> Deferred[Any]:
        """Assign addresses."""
        networks = requests.parse(given)
        return Deferred.fromCoroutine(self.networks.assign(networks, owner))

    def assigned(self, given: dict[str, Any], owner: str = "vm-1") -> dict[str, str]:
        """Assign addresses, and return them."""
        leases = self.successResultOf(self.assign(given, owner))
        return {name: str(lease.address) for name, lease in leases.items()}

    def refusal(self, kind: type[Exception], **settings: Any) -> str:
        """Return why there are no addresses for a network like L{ELSEWHERE}."""
        given = {"n": {**ELSEWHERE, **settings}}
        return str(self.failureResultOf(self.assign(given), kind).value)

    def test_a_bridge_has_a_bounded_number_of_ports(self) -> None:
        """A VM that a bridge has no port for is refused, and others are not."""
        both = {"n": DYNAMIC, "m": {**MANUAL, "ip": "10.0.0.9"}}
        for number in range(MOST_PORTS - 1):
            self.assigned({"n": DYNAMIC}, f"vm-{number}")
        # Two addresses of one VM take one port.
        self.assigned(both, "vm-last")
        self.assertEqual(len(self.pools.sharing(SUBNET.bridge)), MOST_PORTS)
        failure = self.failureResultOf(
            self.assign({"n": DYNAMIC}, "vm-more"), VMCreationFailed
        )
        self.assertEqual(
            str(failure.value), f"subnet {SUBNET.cidr}: {no_port_left(SUBNET.bridge)}"
        )
        self.release("vm-more")
        self.assigned({"n": {**ELSEWHERE}}, "vm-more")
        self.release("vm-7")
        self.assigned({"n": DYNAMIC}, "vm-more")

    def settle(self) -> None:
        """Have the bridges that are needed."""
        self.successResultOf(Deferred.fromCoroutine(self.networks.settle()))

    def release(self, owner: str) -> None:
        """Release what an owner has."""
        self.successResultOf(Deferred.fromCoroutine(self.networks.release(owner)))

    def bridges(self) -> list[str]:
        """Return the bridges that the host has."""
        return [subnet.bridge for subnet in self.host.subnets]

    def test_a_free_range_is_no_peers(self) -> None:
        """A network that may be anywhere is not where VMs of a peer are."""
        peer = Peer(address=IPv4Address("192.0.2.3"), cidrs=(IPv4Network("10.1.0.0/16"),))
        allowed = [IPv4Network("10.1.0.0/16"), IPv4Network("10.2.0.0/16")]
        networks = Networks(self.pools, self.host, self.names, allowed, [peer])
        found = self.successResultOf(Deferred.fromCoroutine(networks.free_range(24)))
        self.assertEqual(found, IPv4Network("10.2.0.0/24"))

    def test_networks_beside_vips(self) -> None:
        """A network that no configuration has is not where vips can be, held or not."""
        first = IPv4Address("10.1.0.250")
        vips = [AddressRange(first=first, last=first + 9)]
        allowed = [IPv4Network("10.1.0.0/16")]
        self.networks = Networks(self.pools, self.host, self.names, allowed, (), vips)
        refused = self.refusal(AddressUnavailable, ip="10.1.1.9", gateway="10.1.1.1")
        self.assertEqual(
            refused,
            "networks.n: 10.1.1.0/24 overlaps with 10.1.0.250-10.1.1.3 of vip_addresses",
        )
        self.assigned({"n": {**ELSEWHERE, "ip": "10.1.2.9", "gateway": "10.1.2.1"}})
        found = self.successResultOf(Deferred.fromCoroutine(self.networks.free_range(24)))
        self.assertEqual(found, IPv4Network("10.1.3.0/24"))

    def test_order_of_the_request_is_kept(self) -> None:
        """The first network comes first, whichever address was taken first."""
        manual = {**MANUAL, "ip": "10.0.255.253"}
        assigned = self.assigned({"d": DYNAMIC, "v": VIP, "m": manual})
        self.assertEqual(
            list(assigned.items()), [("d", "10.0.255.252"), ("m", "10.0.255.253")]
        )

    def test_conflict_names_the_other_vm(self) -> None:
        """Addresses taken before a conflict stay the VM's until they are released."""
        self.assigned({"m": MANUAL}, "vm-first")
        given = {"a": {**MANUAL, "ip": "10.0.0.5"}, "m": MANUAL}
        failure = self.failureResultOf(self.assign(given), AddressUnavailable)
        self.assertIn("vm-first", str(failure.value))
        self.assertEqual(self.pools.owner(IPv4Address("10.0.0.5")), "vm-1")
        self.release("vm-1")
        self.assertIsNone(self.pools.owner(IPv4Address("10.0.0.5")))

    def test_a_dynamic_network_may_name_its_subnet(self) -> None:
        """A dynamic network is in the subnet of its name, or else in the first."""
        named = {**DYNAMIC, "cloud_properties": {"name": "other"}}
        unknown = {**DYNAMIC, "cloud_properties": {"name": "random"}}
        assigned = self.assigned({"n": named, "u": unknown})
        self.assertEqual(assigned, {"n": "10.9.0.253", "u": "10.0.255.253"})

    def test_the_hosts_own_addresses_are_no_vms(self) -> None:
        """A VM gets no address that the host has, and the refusal says so."""
        given = {"m": {**MANUAL, "ip": "10.0.255.254"}}
        failure = self.failureResultOf(self.assign(given), AddressUnavailable)
        self.assertIn("10.0.255.254 is the host's own", str(failure.value))

    def test_a_subnet_that_a_vm_describes(self) -> None:
        """It has a bridge from the first VM in it to the last."""
        self.settle()
        self.assertEqual(self.bridges(), ["br0", "br1"])
        self.assertEqual(self.assigned({"n": ELSEWHERE}), {"n": "10.244.0.34"})
        self.settle()
        self.assertEqual(self.bridges(), ["br0", "br1", BRIDGE])
        self.assertEqual(self.names.served, list(self.host.subnets))
        self.assigned({"n": {**ELSEWHERE, "ip": "10.244.0.35"}}, "vm-2")
        self.release("vm-1")
        self.assertIn(BRIDGE, self.bridges())
        self.release("vm-2")
        self.assertEqual(self.bridges(), ["br0", "br1"])

    def test_who_asks_for_names(self) -> None:
        """A VM is one client with all of its addresses; of no VM, each address is one."""
        self.assigned(
            {"one": MANUAL, "block": {**MANUAL, "ip": "10.0.2.16", "prefix": "28"}}
        )
        self.settle()
        asked = ["10.0.0.2", "10.0.2.17", "10.0.2.32"]
        self.assertEqual(
            [self.names.client_of(address) for address in asked],
            ["vm-1", "vm-1", "10.0.2.32"],
        )

    def test_bridges_are_looked_at_when_subnets_change(self) -> None:
        """While the subnets are the same, the host is left alone, unless that is asked."""
        self.settle()
        calls = self.script.done.count("set up")
        self.assigned({"m": MANUAL})
        self.settle()
        self.assertEqual(self.script.done.count("set up"), calls)
        self.successResultOf(Deferred.fromCoroutine(self.networks.settle(afresh=True)))
        self.assertEqual(self.script.done.count("set up"), calls + 1)

    def test_only_new_bridges_are_looked_at(self) -> None:
        """Others are looked at only if that is asked, or if one could not be had."""
        self.settle()
        self.assertEqual(self.host.looked_at, ["br0", "br1"])
        self.assigned({"n": ELSEWHERE})
        self.settle()
        self.assertEqual(self.host.looked_at, [BRIDGE])
        self.release("vm-1")
        self.assertEqual(self.host.looked_at, [])
        self.successResultOf(Deferred.fromCoroutine(self.networks.settle(afresh=True)))
        self.assertEqual(self.host.looked_at, ["br0", "br1"])
        self.host.refused = {BRIDGE}
        self.assigned({"n": ELSEWHERE})
        self.settle()
        self.settle()
        self.assertEqual(self.host.looked_at, ["br0", "br1", BRIDGE])

    def test_a_subnet_that_cannot_be_had(self) -> None:
        """It fails VMs in it alone, and is tried again; the others have bridges and DNS."""
        self.host.refused = {BRIDGE}
        self.assigned({"n": ELSEWHERE})
        self.assigned({"m": MANUAL}, "vm-2")
        *good, bad = self.pools.subnets
        requiring = Deferred.fromCoroutine(self.networks.require(good))
        self.successResultOf(requiring)
        self.assertEqual(self.names.served, good)
        failing = Deferred.fromCoroutine(self.networks.require([bad]))
        self.assertIn("not this one", str(self.failureResultOf(failing, CloudError).value))
        self.host.refused = set()
        self.successResultOf(Deferred.fromCoroutine(self.networks.require([bad])))
        self.assertEqual(self.names.served, [*good, bad])

    def test_a_subnet_that_the_host_has_since(self) -> None:
        """After a reboot the host may have got a network that VMs were in."""
        own = described(IPv4Interface("10.10.0.1/24"))
        self.pools.open(own)
        self.successResultOf(self.pools.claim(IPv4Address("10.10.0.9"), "vm-1"))
        settled = Deferred.fromCoroutine(self.networks.settle(afresh=True))
        self.assertEqual(
            self.successResultOf(settled),
            {own: "10.10.0.0/24 overlaps with eth9 of this host"},
        )
        self.assertEqual(self.bridges(), ["br0", "br1"])

    def test_a_subnet_without_a_gateway(self) -> None:
        """The host has the first address of a subnet for which no gateway is named."""
        self.assigned({"n": {**ELSEWHERE, "gateway": None}})
        self.assertEqual(str(self.pools.subnets[-1].interface), "10.244.0.1/24")

    def test_networks_that_are_not_allowed(self) -> None:
        """A VM cannot describe a subnet outside of what the operator allows."""
        refusal = self.refusal(AddressUnavailable, ip="203.0.113.9", gateway="203.0.113.1")
        self.assertIn("networks.n: 203.0.113.0/24 is no network of this host", refusal)
        self.assertIn("allowed_networks of the daemon, which is 10.0.0.0/8, 172", refusal)
        self.assertEqual(self.pools.subnets, (SUBNET, OTHER))

    def test_networks_of_the_host(self) -> None:
        """A VM cannot describe a network that the host has otherwise."""
        refusal = self.refusal(AddressUnavailable, ip="10.10.0.9", gateway="10.10.0.1")
        self.assertIn("networks.n: 10.10.0.0/24 overlaps with eth9 of this host", refusal)

    def test_a_subnet_around_another(self) -> None:
        """A VM cannot describe a subnet that has another one in it."""
        refusal = self.refusal(
            AddressUnavailable, ip="10.9.1.9", netmask="255.255.0.0", gateway="10.9.1.1"
        )
        self.assertIn("10.9.0.0/16", refusal)
        self.assertIn("overlaps with 10.9.0.0/24 of this host", refusal)

    def test_what_describes_no_subnet(self) -> None:
        """A netmask or a gateway that cannot be is named."""
        for netmask in (None, 24, "24", "0.0.0.255", "255.0.255.0", "x"):
            refusal = self.refusal(InvalidArgument, netmask=netmask)
            self.assertTrue(refusal.startswith("networks.n.netmask: "), refusal)
        refusal = self.refusal(InvalidArgument, netmask="255.255.255.254")
        self.assertIn("leaves no room for VMs; /30 is the smallest", refusal)
        for gateway in ("10.245.0.1", "10.244.0.0", "10.244.0.255", 7, "x", "::1"):
            refusal = self.refusal(InvalidArgument, gateway=gateway)
            self.assertTrue(refusal.startswith("networks.n.gateway: "), refusal)
