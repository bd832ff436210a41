"""Subnets side by side: they reach each other, unless one of them is isolated."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface

import pytest

from runc_cpi.daemon.host.network.bridges import Bridges
from runc_cpi.daemon.host.network.nftables import Table
from runc_cpi.daemon.host.network.veth import VethPairs
from runc_cpi.daemon.networks.model import Address, Subnet, described
from runc_cpi.daemon.networks.planning import Lease, plan
from runc_cpi.daemon.networks.ports import parse
from runc_cpi.daemon.networks.rules import NO_RULES, Occupant, rules
from tests.harness.world import PATIENCE, ask, is_silent, new_namespace, new_socket, serving

# By the kind of IP: the gateways of two subnets, and VMs, two in the first and one in the
# second.
GATEWAYS = {
    4: ("10.98.1.1/24", "10.98.2.1/24"),
    6: ("fd00:98:0:1::1/64", "fd00:98:0:2::1/64"),
}
VMS = {
    4: ("10.98.1.2", "10.98.1.3", "10.98.2.2"),
    6: ("fd00:98:0:1::2", "fd00:98:0:1::3", "fd00:98:0:2::2"),
}
ANY = {4: "0.0.0.0", 6: "::"}


@dataclass(frozen=True, kw_only=True)
class Sides:
    """
    Two subnets side by side, with VMs.

    @ivar pids: processes in network namespaces that are connected as VMs are.
    @ivar any: all addresses of this kind of IP.
    """

    subnets: Sequence[Subnet]
    addresses: Sequence[Address]
    pids: Sequence[int]
    any: str

    def occupants(self, *ports: str) -> Sequence[Occupant]:
        """Return the VMs, each with these ports if it is the last."""
        *others, last = (Occupant(addresses=(address,)) for address in self.addresses)
        return [*others, replace(last, ports=parse(list(ports)))]


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def sides(leaves_nothing: None, request: pytest.FixtureRequest) -> Iterator[Sides]:
    """Subnets of a kind of IP, and their VMs."""
    subnets = [
        described(ip_interface(gateway), bridge=f"side{number}")
        for number, gateway in enumerate(GATEWAYS[request.param])
    ]
    addresses = [ip_address(address) for address in VMS[request.param]]
    with ExitStack() as stack:
        for subnet in subnets:
            Bridges("test of isolation", configured=()).ensure(subnet.bridge, [subnet])
            remove = ["ip", "link", "delete", subnet.bridge]
            stack.callback(subprocess.run, remove, check=True)
        pids = [stack.enter_context(new_namespace()) for _ in addresses]
        for number, (pid, address) in enumerate(zip(pids, addresses, strict=True)):
            (subnet,) = (subnet for subnet in subnets if address in subnet.cidr)
            pairs, lease = VethPairs(guarded=True), Lease(address=address, subnet=subnet)
            pairs.connect(f"vm-{number}", pid, plan({"n": lease}, {"n": {}}))
            stack.callback(pairs.disconnect, f"vm-{number}")
        anything = ANY[request.param]
        yield Sides(subnets=subnets, addresses=addresses, pids=pids, any=anything)


@pytest.fixture
def table() -> Iterator[Table]:
    """Rules that go at the end."""
    table = Table("runc_cpid_side", set)
    yield table
    table.apply(NO_RULES)


def test_side_by_side(sides: Sides, table: Table) -> None:
    """Subnets reach each other with their own addresses."""
    table.apply(rules(sides.subnets, sides.occupants()))
    one, _, two = sides.pids
    with serving(two, 80, "two", address=sides.any):
        assert ask(one, str(sides.addresses[2]), 80) == f"two {sides.addresses[0]}"


@pytest.mark.parametrize("number", [0, 1])
def test_isolated(sides: Sides, table: Table, number: int) -> None:
    """
    If one is isolated, neither reaches the other, except by published ports; within each
    nothing changes.
    """
    subnets, addresses = list(sides.subnets), sides.addresses
    subnets[number] = replace(subnets[number], isolated=True)
    table.apply(rules(subnets, sides.occupants("8080:80")))
    one, neighbour, two = sides.pids
    with (
        serving(two, 80, "two", address=sides.any),
        serving(one, 80, "one", address=sides.any),
    ):
        assert is_silent(one, str(addresses[2]), 80)
        assert is_silent(two, str(addresses[0]), 80)
        assert ask(neighbour, str(addresses[0]), 80) == f"one {addresses[1]}"
        assert ask(one, str(subnets[0].gateway), 8080).startswith("two ")


def test_ports_of_an_earlier_daemon(sides: Sides, table: Table) -> None:
    """
    Whoever sends UDP to a port all the time reaches nobody any more if a daemon starts and
    the port's VM is gone.
    """
    gateway = str(sides.subnets[0].gateway)
    before = rules(sides.subnets, sides.occupants("514:5140/udp"))
    Table("runc_cpid_side", set).apply(before)
    one, _, two = sides.pids
    with (
        serving(two, 5140, "two", "udp", sides.any),
        new_socket(one, "udp", sides.any) as sender,
    ):
        sender.settimeout(PATIENCE)
        sender.connect((gateway, 514))
        sender.send(b"?")
        assert sender.recv(100).startswith(b"two ")
        table.apply(rules(sides.subnets, sides.occupants()))
        sender.send(b"?")
        with pytest.raises(ConnectionRefusedError):
            sender.recv(100)
