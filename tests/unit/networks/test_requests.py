"""Networks of create_vm: what the Director sends, and what the VM then has."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.networks import requests
from runc_cpi.daemon.networks.address_pool import AddressPool
from runc_cpi.errors import AddressUnavailable, InvalidArgument

NETWORK = IPv4Network("10.0.0.0/16")
GATEWAY = IPv4Address("10.0.0.1")
PLAN = requests.NetworkPlan(network=NETWORK, gateway=GATEWAY, dns=["192.0.2.53"])
MANUAL = {
    "type": "manual",
    "ip": "10.0.0.2",
    "netmask": "255.255.0.0",
    "prefix": "32",
    "gateway": "10.0.0.1",
    "dns": ["198.51.100.1"],
    "default": ["dns", "gateway"],
    "cloud_properties": {"name": "random"},
}
VIP = {"type": "vip", "ip": "203.0.113.1", "prefix": "32", "cloud_properties": {}}
DYNAMIC = {"type": "dynamic", "cloud_properties": {}}


def completed(given: dict[str, Any], *addresses: str) -> dict[str, dict[str, Any]]:
    """Complete networks with addresses for all that need one, in their order."""
    wanted = requests.parse(given)
    needing = [request.name for request in wanted if request.kind != "vip"]
    assigned = dict(zip(needing, map(IPv4Address, addresses), strict=True))
    return requests.complete(wanted, assigned, PLAN)


def test_a_manual_network_stays_as_it_is() -> None:
    """The Director's word counts, every key of it."""
    assert completed({"n": MANUAL}, "10.0.0.2") == {"n": MANUAL}


def test_a_network_without_a_type_is_manual() -> None:
    """The contract's default; the agent is told the type all the same."""
    untyped = {key: value for key, value in MANUAL.items() if key != "type"}
    assert completed({"n": untyped}, "10.0.0.2") == {"n": MANUAL}


def test_a_dynamic_network_is_filled_in() -> None:
    """The agent takes one without an address for one that needs DHCP."""
    assert completed({"n": DYNAMIC}, "10.0.0.9") == {
        "n": {
            "type": "dynamic",
            "ip": "10.0.0.9",
            "netmask": "255.255.0.0",
            "gateway": "10.0.0.1",
            "dns": ["192.0.2.53"],
            "cloud_properties": {},
        }
    }


def test_a_dynamic_network_of_an_earlier_run() -> None:
    """The Director repeats what it knew; what the VM has now counts."""
    known = {**DYNAMIC, "ip": "10.0.9.9", "netmask": "255.0.0.0", "gateway": "10.0.0.9"}
    network = completed({"n": known}, "10.0.0.3")["n"]
    assert (network["ip"], network["netmask"]) == ("10.0.0.3", "255.255.0.0")
    assert network["gateway"] == "10.0.0.1"


def test_a_virtual_address_is_left_alone() -> None:
    """It is nobody's interface, so it gets no name servers either."""
    assert completed({"v": VIP, "n": MANUAL}, "10.0.0.2")["v"] == VIP


@pytest.mark.parametrize(("prefix", "text"), [(32, "32"), ("32", "32"), (128, "128")])
def test_a_prefix_is_a_string(prefix: Any, text: str) -> None:
    """The agent cannot read its settings if it is a number."""
    given = {"n": {**MANUAL, "prefix": prefix}, "v": {**VIP, "prefix": prefix}}
    done = completed(given, "10.0.0.2")
    assert [done["n"]["prefix"], done["v"]["prefix"]] == [text, text]


def test_a_prefix_of_null_is_none() -> None:
    """It does not become the word "None", which is no prefix."""
    done = completed({"n": {**MANUAL, "prefix": None}}, "10.0.0.2")
    assert done["n"].get("prefix") in (None, "")


def test_what_was_asked_is_not_changed() -> None:
    """The caller's objects are not written to."""
    given = {"n": {**DYNAMIC, "prefix": 32}}
    completed(given, "10.0.0.9")
    assert given == {"n": {**DYNAMIC, "prefix": 32}}


@pytest.mark.parametrize("dns", [None, []])
def test_name_servers_of_the_host_fill_in(dns: Any) -> None:
    """A network that names none gets those the host itself uses."""
    assert completed({"n": {**MANUAL, "dns": dns}}, "10.0.0.2")["n"]["dns"] == [
        "192.0.2.53"
    ]


@pytest.mark.parametrize(
    ("given", "servers"),
    [
        ({"a": {"type": "manual", "dns": ["1"]}}, ["1"]),
        ({"a": {"type": "manual"}}, []),
        ({}, []),
        (
            {
                "a": {"type": "manual", "dns": ["1"], "default": ["gateway"]},
                "b": {"type": "dynamic", "dns": ["2"], "default": ["dns"]},
            },
            ["2"],
        ),
        (
            {"a": {"type": "manual"}, "b": {"type": "manual", "dns": ["2"]}},
            ["2"],
        ),
        (
            {
                "v": {"type": "vip", "dns": ["9"], "default": ["dns"]},
                "a": {"type": "manual", "dns": ["1"]},
            },
            ["1"],
        ),
        (
            {
                "a": {"type": "manual", "dns": ["1"]},
                "b": {"type": "manual", "dns": [], "default": ["dns"]},
            },
            ["1"],
        ),
    ],
)
def test_name_servers_that_count(given: dict[str, Any], servers: list[str]) -> None:
    """Those of the network that is the default for DNS, or else of the first with any."""
    assert requests.name_servers(given) == servers


@pytest.mark.parametrize(
    "dns", [["not an address"], ["192.0.2.1\nsearch evil.example"], [""], ["\ud800"]]
)
def test_name_servers_are_addresses(dns: list[str]) -> None:
    """What is written to the VM's resolv.conf line by line is no free text."""
    with pytest.raises(InvalidArgument, match=r"^networks\.n\.dns: .*address"):
        requests.parse({"n": {**MANUAL, "dns": dns}})


def test_an_address_can_be_had_once() -> None:
    """Two networks of one VM with the same address are refused as they come."""
    with pytest.raises(InvalidArgument, match=r"networks\.b.*10\.0\.0\.2"):
        requests.parse({"a": MANUAL, "b": MANUAL})


class AssignTests(SynchronousTestCase):
    """Addresses come from the pool, what was asked for by address first."""

    def setUp(self) -> None:
        self.pool = AddressPool(NETWORK, GATEWAY)

    def assign(self, given: dict[str, Any], owner: str = "vm-1") -> Deferred[Any]:
        """Assign addresses."""
        wanted = requests.parse(given)
        return Deferred.fromCoroutine(requests.assign(wanted, owner, self.pool))

    def test_order_of_the_request_is_kept(self) -> None:
        """The first network has the VM's main address, whatever was claimed first."""
        assigned = self.successResultOf(self.assign({"d": DYNAMIC, "v": VIP, "m": MANUAL}))
        self.assertEqual(
            list(assigned.items()),
            [("d", IPv4Address("10.0.0.3")), ("m", IPv4Address("10.0.0.2"))],
        )

    def test_conflict_names_the_other_vm(self) -> None:
        """What was already got is still held: the caller gives all back."""
        self.successResultOf(self.assign({"m": MANUAL}, "vm-first"))
        given = {"a": {**MANUAL, "ip": "10.0.0.5"}, "m": MANUAL}
        failure = self.failureResultOf(self.assign(given), AddressUnavailable)
        self.assertIn("10.0.0.2 is in use by vm-first", str(failure.value))
        self.successResultOf(self.pool.release("vm-1"))
        self.successResultOf(self.assign({"m": {**MANUAL, "ip": "10.0.0.5"}}, "vm-2"))
