"""From the networks of a call to a VM's addresses and interfaces."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.networks import requests
from runc_cpi.daemon.networks.address_pools import AddressPools
from runc_cpi.daemon.networks.model import Nic, Route
from runc_cpi.daemon.networks.planning import assign, plan, updated
from runc_cpi.errors import AddressUnavailable
from tests.unit.networks.examples import DYNAMIC, MANUAL, OTHER, SUBNET, VIP


def test_one_interface_has_all_addresses() -> None:
    """The first address gives the hardware address and the default route."""
    addresses = {"a": IPv4Address("10.0.0.9"), "b": IPv4Address("10.0.0.2")}
    assert plan(addresses, [SUBNET]) == (
        Nic(
            networks=("a", "b"),
            interface="eth0",
            mac="02:42:0a:00:00:09",
            addresses=(IPv4Interface("10.0.0.9/16"), IPv4Interface("10.0.0.2/16")),
            routes=(
                Route(
                    destination=IPv4Network("0.0.0.0/0"), gateway=IPv4Address("10.0.0.1")
                ),
            ),
        ),
    )


def test_each_address_has_the_size_of_its_subnet() -> None:
    """Addresses of several subnets have each their own prefix length."""
    addresses = {"a": IPv4Address("10.9.0.2"), "b": IPv4Address("10.0.0.2")}
    (nic,) = plan(addresses, [SUBNET, OTHER])
    assert [str(address) for address in nic.addresses] == ["10.9.0.2/24", "10.0.0.2/16"]
    assert nic.routes[0].gateway == OTHER.gateway


def test_an_address_of_no_subnet() -> None:
    """An address from before a change of the configuration is planned in the first."""
    (nic,) = plan({"a": IPv4Address("198.51.100.4")}, [SUBNET, OTHER])
    assert str(nic.addresses[0]) == "198.51.100.4/16"
    assert nic.routes[0].gateway == SUBNET.gateway


def test_a_change_of_the_configuration() -> None:
    """An interface follows the gateway and the size of its subnet."""
    nics = plan(
        {"a": IPv4Address("10.0.0.2"), "b": IPv4Address("10.9.0.2")}, [SUBNET, OTHER]
    )
    changed = replace(
        SUBNET, cidr=IPv4Network("10.0.0.0/20"), gateway=IPv4Address("10.0.1.1")
    )
    assert updated(nics, [changed, OTHER]) == plan(
        {"a": IPv4Address("10.0.0.2"), "b": IPv4Address("10.9.0.2")}, [changed, OTHER]
    )
    assert updated(nics, [SUBNET, OTHER]) == nics


class AssignTests(SynchronousTestCase):
    """Addresses come from the pools, those that are asked for first."""

    def setUp(self) -> None:
        self.pools = AddressPools([SUBNET, OTHER])

    def assign(self, given: dict[str, Any], owner: str = "vm-1") -> Deferred[Any]:
        """Assign addresses."""
        networks = requests.parse(given)
        return Deferred.fromCoroutine(assign(networks, owner, self.pools))

    def test_order_of_the_request_is_kept(self) -> None:
        """The first network has the main address, whichever address was taken first."""
        assigned = self.successResultOf(self.assign({"d": DYNAMIC, "v": VIP, "m": MANUAL}))
        self.assertEqual(
            list(assigned.items()),
            [("d", IPv4Address("10.0.0.3")), ("m", IPv4Address("10.0.0.2"))],
        )

    def test_conflict_names_the_other_vm(self) -> None:
        """Addresses taken before a conflict stay the VM's until they are released."""
        self.successResultOf(self.assign({"m": MANUAL}, "vm-first"))
        given = {"a": {**MANUAL, "ip": "10.0.0.5"}, "m": MANUAL}
        failure = self.failureResultOf(self.assign(given), AddressUnavailable)
        self.assertIn("10.0.0.2 is in use by vm-first", str(failure.value))
        self.successResultOf(self.pools.release("vm-1"))
        self.successResultOf(self.assign({"m": {**MANUAL, "ip": "10.0.0.5"}}, "vm-2"))
