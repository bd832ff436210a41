"""Subnets side by side: they reach each other, unless one of them is isolated."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from runc_cpi.daemon.host.network.bridges import Bridges
from runc_cpi.daemon.host.network.nftables import Table
from runc_cpi.daemon.host.network.veth import VethPairs
from runc_cpi.daemon.networks.model import Subnet
from runc_cpi.daemon.networks.planning import Lease, plan
from runc_cpi.daemon.networks.ports import parse
from runc_cpi.daemon.networks.rules import NO_RULES, Occupant, rules
from tests.harness.world import PATIENCE, ask, is_silent, new_namespace, new_socket, serving

SUBNETS = [
    Subnet(
        cidr=IPv4Network(f"10.98.{n}.0/24"),
        gateway=IPv4Address(f"10.98.{n}.1"),
        bridge=f"side{n}",
        dns=(),
    )
    for n in (1, 2)
]
# Two in the first subnet, one in the second.
ADDRESSES = [IPv4Address(text) for text in ("10.98.1.2", "10.98.1.3", "10.98.2.2")]


@pytest.fixture
def pids(leaves_nothing: None) -> Iterator[list[int]]:
    """Processes in network namespaces that are connected as VMs are."""
    with ExitStack() as stack:
        for subnet in SUBNETS:
            Bridges("test of isolation", configured=()).ensure(subnet.bridge, [subnet])
            remove = ["ip", "link", "delete", subnet.bridge]
            stack.callback(subprocess.run, remove, check=True)
        pids = [stack.enter_context(new_namespace()) for _ in ADDRESSES]
        for number, (pid, address) in enumerate(zip(pids, ADDRESSES, strict=True)):
            (subnet,) = (subnet for subnet in SUBNETS if address in subnet.cidr)
            pairs, lease = VethPairs(guarded=True), Lease(address=address, subnet=subnet)
            pairs.connect(f"vm-{number}", pid, plan({"n": lease}, {"n": {}}))
            stack.callback(pairs.disconnect, f"vm-{number}")
        yield pids


@pytest.fixture
def table() -> Iterator[Table]:
    """Rules that go at the end."""
    table = Table("runc_cpid_side", set)
    yield table
    table.apply(NO_RULES)


def occupants(*ports: str) -> Sequence[Occupant]:
    """Return the VMs, each with these ports if it is the last."""
    *others, last = (Occupant(addresses=(address,)) for address in ADDRESSES)
    return [*others, replace(last, ports=parse(list(ports)))]


def test_side_by_side(pids: list[int], table: Table) -> None:
    """Subnets reach each other with their own addresses."""
    table.apply(rules(SUBNETS, occupants()))
    one, _, two = pids
    with serving(two, 80, "two"):
        assert ask(one, str(ADDRESSES[2]), 80) == f"two {ADDRESSES[0]}"


@pytest.mark.parametrize("number", [0, 1])
def test_isolated(pids: list[int], table: Table, number: int) -> None:
    """
    If one is isolated, neither reaches the other, except by published ports; within each
    nothing changes.
    """
    subnets = list(SUBNETS)
    subnets[number] = replace(subnets[number], isolated=True)
    table.apply(rules(subnets, occupants("8080:80")))
    one, neighbour, two = pids
    with serving(two, 80, "two"), serving(one, 80, "one"):
        assert is_silent(one, str(ADDRESSES[2]), 80)
        assert is_silent(two, str(ADDRESSES[0]), 80)
        assert ask(neighbour, str(ADDRESSES[0]), 80) == f"one {ADDRESSES[1]}"
        assert ask(one, str(SUBNETS[0].gateway), 8080).startswith("two ")


def test_ports_of_an_earlier_daemon(pids: list[int], table: Table) -> None:
    """
    Whoever sends UDP to a port all the time reaches nobody any more if a daemon starts and
    the port's VM is gone.
    """
    Table("runc_cpid_side", set).apply(rules(SUBNETS, occupants("514:5140/udp")))
    one, _, two = pids
    with serving(two, 5140, "two", "udp"), new_socket(one, "udp") as sender:
        sender.settimeout(PATIENCE)
        sender.connect((str(SUBNETS[0].gateway), 514))
        sender.send(b"?")
        assert sender.recv(100).startswith(b"two ")
        table.apply(rules(SUBNETS, occupants()))
        sender.send(b"?")
        with pytest.raises(ConnectionRefusedError):
            sender.recv(100)
