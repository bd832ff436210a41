"""What IPv6 has that IPv4 has not: a bridge for both, large subnets, and no NAT."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.networks import requests
from runc_cpi.daemon.networks.address_pools import AddressPools
from runc_cpi.daemon.networks.blocks import routed_blocks
from runc_cpi.daemon.networks.model import (
    IPNetwork,
    Subnet,
    described,
    hardware_address,
    link_local,
)
from runc_cpi.daemon.networks.networks import Networks
from runc_cpi.daemon.networks.planning import (
    Lease,
    on_shared_bridges,
    plan,
    shared_bridges,
    updated,
)
from runc_cpi.daemon.networks.ports import parse
from runc_cpi.daemon.networks.requests import netmask_bits
from runc_cpi.daemon.networks.rules import NO_RULES, Occupant, rules
from runc_cpi.daemon.networks.settings import complete, overruled
from runc_cpi.errors import AddressUnavailable, InvalidArgument
from tests.fakes.networks import FakeNameService, FakeNetworker
from tests.fakes.script import Script
from tests.unit.networks.examples import OTHER, SUBNET

SIX = Subnet(
    cidr=IPv6Network("fd00:0:0:7::/64"),
    gateway=IPv6Address("fd00:0:0:7::1"),
    bridge="br0",
    name="six",
    nat=False,
)
ALLOWED: list[IPNetwork] = [IPv4Network("10.0.0.0/8"), IPv6Network("fc00::/7")]
# As directors write it.
NETMASK = "ffff:ffff:ffff:ffff:0000:0000:0000:0000"
FOUR_ASKED: dict[str, Any] = {
    "type": "manual",
    "ip": "10.244.0.34",
    "netmask": "255.255.255.0",
    "gateway": "10.244.0.1",
    "nic_group": "1",
}
SIX_ASKED: dict[str, Any] = {
    "type": "manual",
    "ip": "fd00:0000:0000:0001:0000:0000:0000:0034",
    "netmask": NETMASK,
    "gateway": "fd00:0000:0000:0001:0000:0000:0000:0001",
    "prefix": 128,
    "nic_group": "1",
}


def lease(address: str, subnet: Subnet) -> Lease:
    """Return an address in a subnet."""
    return Lease(address=ip_address(address), subnet=subnet)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NETMASK, (6, 64)),
        ("ffff:ffff:ffff:ffff::", (6, 64)),
        ("64", (6, 64)),
        ("ffff:fffe::", (6, 31)),
        ("255.255.128.0", (4, 17)),
        ("129", None),
        ("0", None),
        ("::", None),
        ("::ffff", None),
        ("ffff::1", None),
        ("0.0.0.255", None),
        ("٦٤", None),
        (64, None),
        (None, None),
    ],
)
def test_netmasks(text: Any, expected: tuple[int, int] | None) -> None:
    """A netmask of IPv6 is an address or a number of bits; one with holes is none."""
    assert netmask_bits(text) == expected


@given(st.integers(0, (1 << 128) - 1), st.integers(0, (1 << 32) - 1))
def test_ranges(number: int, other: int) -> None:
    """A range has no address of the other kind, whatever the numbers."""
    of_ipv6 = AddressRange(first=IPv6Address(0), last=IPv6Address((1 << 128) - 1))
    of_ipv4 = AddressRange(first=IPv4Address(0), last=IPv4Address((1 << 32) - 1))
    assert IPv6Address(number) in of_ipv6
    assert IPv4Address(other) not in of_ipv6
    assert IPv6Address(other) not in of_ipv4
    assert not of_ipv4.overlaps(IPv6Network("::/0"))


def test_names() -> None:
    """Bridges and hardware addresses follow from addresses, and differ with them."""
    bridges = {described(subnet.interface).bridge for subnet in (SUBNET, SIX)}
    assert len(bridges) == 2
    assert all(len(name) <= 15 for name in bridges)
    first, second = (hardware_address(SIX.cidr[number]) for number in (2, 3))
    assert first != second
    assert first == hardware_address(SIX.cidr[2])
    assert int(first[:2], 16) & 3 == 2  # of one interface, and not of a vendor
    assert link_local("02:42:0a:00:00:02") == IPv6Address("fe80::42:aff:fe00:2")


def test_both_on_one_interface() -> None:
    """Subnets of one bridge share an interface, with a default route of each kind."""
    leases = {"six": lease("fd00:0:0:7::9", SIX), "four": lease("10.0.0.9", SUBNET)}
    (nic,) = plan(leases, {"six": {}, "four": {"default": ["gateway"]}})
    assert [str(address) for address in nic.addresses] == [
        "fd00:0:0:7::9/64",
        "10.0.0.9/16",
    ]
    assert nic.mac == "02:42:0a:00:00:09"
    assert [str(route.destination) for route in nic.routes] == ["::/0", "0.0.0.0/0"]
    assert nic.gateways == (SIX.interface, SUBNET.interface)
    assert nic.leads_out(4)
    assert nic.leads_out(6)
    assert updated([nic], [SUBNET, SIX]) == (nic,)


def test_blocks() -> None:
    """A block of a kind of IP is behind an address of that kind, if need be its first."""
    block = IPv6Network("fd00:0:0:7:1::/80")
    many = Lease(address=block[0], subnet=SIX, block=block)
    leases = {"many": many, "four": lease("10.0.0.9", SUBNET)}
    (nic,) = plan(leases, {"many": {}, "four": {}})
    assert [str(address) for address in nic.addresses] == [f"{block[0]}/64", "10.0.0.9/16"]
    assert nic.blocks == (block,)
    (routed,) = routed_blocks([nic])
    assert (routed.block, routed.address) == (block, block[0])
    leases["one"] = lease("fd00:0:0:7::9", SIX)
    (nic,) = plan(leases, {"many": {}, "four": {}, "one": {}})
    assert [str(address) for address in nic.addresses] == [
        "10.0.0.9/16",
        "fd00:0:0:7::9/64",
    ]
    (routed,) = routed_blocks([nic])
    assert routed.address == SIX.cidr[9]


def test_interfaces_apart() -> None:
    """On bridges of their own each kind has its interface and its default route."""
    apart = replace(SIX, bridge="br6")
    leases = {"four": lease("10.0.0.9", SUBNET), "six": lease("fd00:0:0:7::9", apart)}
    four, six = plan(leases, {"four": {"default": ["dns", "gateway"]}, "six": {}})
    assert (four.leads_out(4), four.leads_out(6)) == (True, False)
    assert (six.leads_out(4), six.leads_out(6)) == (False, True)
    with pytest.raises(InvalidArgument, match=r"^networks\.six\.nic_group: 1 .*br0; .*br6"):
        plan(leases, {"four": {"nic_group": 1}, "six": {"nic_group": 1}})


def test_how_kinds_come_to_one_bridge() -> None:
    """Who wants both on one interface is told what is in the way, and what helps."""

    def refusal(other: Subnet) -> str:
        subnet = replace(SUBNET, name="default")
        address = str(other.cidr[9])
        leases = {"four": lease("10.0.0.9", subnet), "other": lease(address, other)}
        with pytest.raises(InvalidArgument) as caught:
            plan(leases, {"four": {"nic_group": 1}, "other": {"nic_group": 1}})
        return str(caught.value)

    both = "; configure both with one bridge in networks of the daemon"
    assert refusal(replace(SIX, bridge="br6")).endswith(both)
    message = refusal(described(SIX.interface))
    assert f"{both}, or delete the VMs in fd00:0:0:7::/64 first: that subnet" in message
    assert both not in refusal(OTHER)


def test_a_short_mtu() -> None:
    """IPv6 needs packets of some size, also beside IPv4."""
    short = replace(SUBNET, mtu=1279)
    leases = {"four": lease("10.0.0.9", short), "six": lease("fd00:0:0:7::9", SIX)}
    with pytest.raises(
        InvalidArgument, match=r"of four, six has an mtu of 1279; IPv6 needs"
    ):
        plan(leases, {"four": {}, "six": {}})
    four = {"four": leases["four"]}
    assert plan(four, {"four": {}})[0].mtu == 1279


def test_a_subnet_is_configured_no_more() -> None:
    """Subnets that share a bridge still do, once the configuration has none of them."""
    leases = {"four": lease("10.0.0.9", SUBNET), "six": lease("fd00:0:0:7::9", SIX)}
    both = updated(plan(leases, {"four": {}, "six": {}}), [])
    alone = updated(plan({"six": leases["six"]}, {"six": {}}), [])
    assert both[0].bridge == described(SUBNET.interface).bridge
    assert alone[0].bridge == described(SIX.interface).bridge
    bridges = shared_bridges([*both, *alone])
    (nic,) = on_shared_bridges(alone, bridges)
    assert nic.bridge == both[0].bridge
    assert on_shared_bridges(both, bridges) == both
    # One of them is enough to know the bridge.
    assert updated(both, [SIX])[0].bridge == "br0"


def test_a_shared_bridge_whose_other_subnet_has_no_vm() -> None:
    """A VM stays on the bridge that its subnet shares, as its record has it."""
    (alone,) = plan({"six": lease("fd00:0:0:7::9", SIX)}, {"six": {}})
    own = described(SIX.interface).bridge
    of_another = described(SUBNET.interface).bridge
    assert alone.bridge == SUBNET.bridge
    for bridge, subnets, expected in (
        (SUBNET.bridge, [SUBNET], SUBNET.bridge),
        (SUBNET.bridge, [replace(SUBNET, bridge="br7")], own),
        (of_another, [], of_another),
        (own, [], own),
        # Somebody else of its kind has that bridge by now.
        (SUBNET.bridge, [SUBNET, replace(SIX, cidr=IPv6Network("fd01::/64"))], own),
    ):
        assert updated([replace(alone, bridge=bridge)], subnets)[0].bridge == expected


def test_what_the_agent_is_told() -> None:
    """Addresses of IPv6 stay as they were asked for, if they are right."""
    asked = {**SIX_ASKED, "gateway": "fd00:0000:0000:0007::0001"}
    networks = requests.parse({"n": {**asked, "ip": "fd00:0:0:7::9"}})
    told = complete(networks, {"n": IPv6Address("fd00:0:0:7::9")}, {"n": SIX})["n"]
    assert (told["netmask"], told["gateway"]) == (NETMASK, asked["gateway"])
    assert told["prefix"] == "128"
    assert overruled(networks, {"n": SIX}) == []
    wrong = requests.parse({"n": {**asked, "netmask": "48", "gateway": "fd00::9"}})
    assert overruled(wrong, {"n": SIX}) == [
        f"networks.n.netmask: '48', here it is {NETMASK}",
        "networks.n.gateway: 'fd00::9', here it is fd00:0:0:7::1",
    ]
    dynamic = requests.parse({"n": {"type": "dynamic"}})
    told = complete(dynamic, {"n": IPv6Address("fd00:0:0:7::9")}, {"n": SIX})["n"]
    assert (told["ip"], told["netmask"]) == ("fd00:0:0:7::9", NETMASK)


def test_rules() -> None:
    """
    VMs with IPv6 are forwarded, with and without NAT; a port leads to an address of each
    kind, and one at an address to that of its kind.
    """
    addresses = tuple(map(ip_address, ("10.0.0.2", "fd00:0:0:7::2", "fd00:0:0:7::3")))
    ports = ["8080:80", "[2001:db8::1]:53:53/udp", "0.0.0.0:90:90", "[::]:91:91"]
    vm = Occupant(addresses=addresses, ports=parse(ports))
    found = rules([SUBNET, SIX], [vm])
    assert found.bridges == found.routed == {"br0"}
    assert found.translated == {"br0"}
    assert not found.translated6
    assert found.own == set(addresses[:2])
    led = {(str(r.address), r.port, str(r.vm_address)) for r in found.redirections}
    assert led == {
        ("None", 8080, "10.0.0.2"),
        ("None", 8080, "fd00:0:0:7::2"),
        ("2001:db8::1", 53, "fd00:0:0:7::2"),
        ("None", 90, "10.0.0.2"),
        ("None", 91, "fd00:0:0:7::2"),
    }
    assert found.forwarded == {4, 6}
    inside = replace(SIX, nat=True, isolated=True)
    alone = rules([SUBNET, inside], [Occupant(addresses=addresses[1:])])
    assert alone.translated6 == alone.isolated6 == {"br0"}
    assert not alone.translated | alone.isolated
    assert alone.forwarded == {6}
    assert alone - alone == NO_RULES


class NetworksTests(SynchronousTestCase):
    """A host without a configured network of IPv6, unless the test has one."""

    def begin(self, *subnets: Subnet) -> None:
        """Have these subnets configured."""
        self.pools = AddressPools(subnets)
        self.host = FakeNetworker(Script())
        self.networks = Networks(self.pools, self.host, FakeNameService(), ALLOWED)

    def assign(self, given: dict[str, Any], owner: str = "vm-1") -> dict[str, Lease]:
        """Assign addresses."""
        assigning = self.networks.assign(requests.parse(given), owner)
        return self.successResultOf(Deferred.fromCoroutine(assigning))

    def refusal(self, given: dict[str, Any]) -> str:
        """Return why no addresses can be had."""
        assigning = self.networks.assign(requests.parse(given), "vm-9")
        failure = self.failureResultOf(
            Deferred.fromCoroutine(assigning), AddressUnavailable
        )
        return str(failure.value)

    def test_a_group_shares_a_bridge(self) -> None:
        """Described networks of a group are on the bridge of the one of IPv4, or IPv6."""
        self.begin(SUBNET)
        leases = self.assign({"six": SIX_ASKED, "four": FOUR_ASKED})
        self.assertEqual(list(leases), ["six", "four"])
        bridges = {lease.subnet.bridge for lease in leases.values()}
        self.assertEqual(bridges, {"runc-0af40000"})
        self.assertFalse(leases["six"].subnet.nat)
        self.assertTrue(leases["four"].subnet.nat)
        alone = self.assign({"n": {**SIX_ASKED, "ip": "fd00:0:0:1::35"}}, "vm-2")
        self.assertEqual(alone["n"].subnet, leases["six"].subnet)
        other = {**FOUR_ASKED, "ip": "10.243.0.2", "gateway": "10.243.0.1"}
        six = {**SIX_ASKED, "ip": "fd00:0:0:1::36"}
        message = self.refusal({"four": other, "six": six})
        self.assertIn("networks.four.nic_group: 10.243.0.0/24 cannot share a", message)
        self.assertIn("fd00:0:0:1::/64, as 10.244.0.0/24 does", message)

    def test_beside_a_configured_network(self) -> None:
        """A described network of a group comes to the bridge of one that is configured."""
        self.begin(SUBNET)
        group = {"type": "dynamic", "nic_group": "1"}
        leases = self.assign({"four": group, "six": SIX_ASKED})
        self.assertEqual(leases["six"].subnet.bridge, SUBNET.bridge)

    def test_without_a_group(self) -> None:
        """Networks without a group have bridges of their own."""
        self.begin(SUBNET)
        six = {name: value for name, value in SIX_ASKED.items() if name != "nic_group"}
        leases = self.assign({"four": FOUR_ASKED, "six": six})
        self.assertNotEqual(leases["four"].subnet.bridge, leases["six"].subnet.bridge)

    def test_dynamic_addresses(self) -> None:
        """They come from the top of a network that nobody can count, at once."""
        taken = AddressRange(first=SIX.cidr[1 << 63], last=SIX.cidr[-1])
        self.begin(SUBNET, replace(SIX, reserved=(taken,)))
        asked = {"n": {"type": "dynamic", "cloud_properties": {"name": "six"}}}
        found = [self.assign(asked, f"vm-{n}")["n"].address for n in range(2)]
        top = SIX.cidr[(1 << 63) - 1]
        self.assertEqual(found, [top, top - 1])
        self.successResultOf(self.pools.release("vm-0"))
        self.assertEqual(self.assign(asked, "vm-2")["n"].address, top)
        self.assertEqual(self.pools.owner(top - 1), "vm-1")

    def test_blocks(self) -> None:
        """A VM has a whole /80 alone; no dynamic network takes an address of it."""
        self.begin(SIX)
        top = {**SIX_ASKED, "ip": "fd00:0:0:7:ffff::", "prefix": "80"}
        self.assertEqual(
            self.assign({"n": top})["n"].block, IPv6Network("fd00:0:0:7:ffff::/80")
        )
        self.assertIn("in use by vm-1", self.refusal({"n": {**top, "prefix": "128"}}))
        asked = {"n": {"type": "dynamic", "cloud_properties": {"name": "six"}}}
        below = self.assign(asked, "vm-2")["n"].address
        self.assertEqual(below, IPv6Address("fd00:0:0:7:ffff::") - 1)

    def test_addresses_that_nobody_gets(self) -> None:
        """There are the network's own and the gateway; the last one is like any other."""
        self.begin(SIX)
        for address, message in (
            (SIX.cidr[0], "network address"),
            (SIX.gateway, "gateway"),
        ):
            self.assertIn(message, self.refusal({"n": {**SIX_ASKED, "ip": str(address)}}))
        last = str(SIX.cidr[-1])
        self.assertEqual(
            str(self.assign({"n": {**SIX_ASKED, "ip": last}})["n"].address), last
        )

    def test_where_networks_may_be(self) -> None:
        """Networks of each kind are within those that are allowed of their kind."""
        self.begin(SUBNET)
        public = {**SIX_ASKED, "ip": "2001:db8::2", "gateway": "2001:db8::1"}
        message = self.refusal({"n": public})
        self.assertIn("2001:db8::/64 is no network of this host, and outside", message)
        self.assertIn("10.0.0.0/8, fc00::/7", message)
