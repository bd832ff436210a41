"""The rules that follow from subnets and VMs."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from runc_cpi.daemon.networks.blocks import RoutedBlock
from runc_cpi.daemon.networks.model import Subnet
from runc_cpi.daemon.networks.peers import NO_PEERS, Peer, Peering
from runc_cpi.daemon.networks.ports import parse
from runc_cpi.daemon.networks.rules import (
    NO_RULES,
    Occupant,
    Redirection,
    Ruleset,
    Vip,
    rules,
)


def subnet(number: int, **changes: Any) -> Subnet:
    """Return a subnet, with changes."""
    cidr = IPv4Network(f"10.{number}.0.0/24")
    values = {"gateway": cidr[1], "bridge": f"br{number}", "dns": []}
    return Subnet(cidr=cidr, **{**values, **changes})


def occupant(*addresses: str, ports: Any = None) -> Occupant:
    """Return a VM."""
    return Occupant(addresses=tuple(map(IPv4Address, addresses)), ports=parse(ports))


ONE, TWO = subnet(1), subnet(2)


def test_without_vms() -> None:
    """Without VMs there are no rules."""
    assert rules([ONE, TWO], []) == NO_RULES


def test_subnets_with_vms() -> None:
    """Subnets with VMs have rules, as they are configured."""
    secret = subnet(3, isolated=True, nat=False)
    vms = [occupant("10.1.0.2", "10.3.0.2"), occupant("10.1.0.3")]
    found = rules([ONE, TWO, secret], vms)
    assert found == Ruleset(
        bridges=frozenset(["br1", "br3"]),
        translated=frozenset(["br1"]),
        isolated=frozenset(["br3"]),
    )
    assert found.forwarded == {4}


def test_nothing_to_do() -> None:
    """VMs that stay inside need no rules; addresses of no subnet need none as well."""
    inside = subnet(1, nat=False)
    found = rules([inside], [occupant("10.1.0.2")])
    assert found == Ruleset(bridges=frozenset(["br1"]))
    assert not found.is_needed
    assert rules([ONE], [occupant("10.9.0.2", ports=["1:1"])]) == NO_RULES


def test_a_block_of_addresses() -> None:
    """What is for the block of a VM is forwarded, though the VM has no way out."""
    block = RoutedBlock(
        block=IPv4Network("10.1.0.16/28"), address=IPv4Address("10.1.0.2"), bridge="br1"
    )
    vm = replace(occupant("10.1.0.2"), blocks=frozenset([block]))
    found = rules([subnet(1, nat=False)], [vm])
    assert found.forwarded == {4}
    assert (found - NO_RULES).delegated == {"br1"}
    assert rules([TWO], [vm]) == NO_RULES


def test_isolation_needs_no_forwarding() -> None:
    """The host need not forward to keep subnets apart."""
    found = rules([subnet(1, nat=False, isolated=True)], [occupant("10.1.0.2")])
    assert found.is_needed
    assert not found.forwarded


def test_ports() -> None:
    """Ports lead to the main address of the VM, each port of a range to its own."""
    ports = ["8080-8081:80-81", "192.0.2.1:53:53/udp"]
    found = rules([subnet(1, nat=False)], [occupant("10.1.0.2", "10.1.0.3", ports=ports)])
    main = IPv4Address("10.1.0.2")
    assert found.redirections == {
        Redirection(protocol="tcp", address=None, port=8080, vm_address=main, vm_port=80),
        Redirection(protocol="tcp", address=None, port=8081, vm_address=main, vm_port=81),
        Redirection(
            protocol="udp",
            address=IPv4Address("192.0.2.1"),
            port=53,
            vm_address=main,
            vm_port=53,
        ),
    }
    assert found.own == {main}
    assert found.forwarded == {4}


def test_the_hosts_loopback() -> None:
    """Only ports at loopback addresses need them to be routed."""
    for ports, looped in (
        (["8080:80"], {"br1"}),
        (["127.0.0.2:8080:80"], {"br1"}),
        (["192.0.2.1:8080:80"], set()),
    ):
        assert rules([ONE], [occupant("10.1.0.2", ports=ports)]).looped == looped


def test_vips() -> None:
    """A vip leads to the VM's main address; it leaves by the first that is in no subnet."""
    inside, first, second = map(IPv4Address, ("10.2.0.9", "192.0.2.1", "192.0.2.2"))
    main = IPv4Address("10.1.0.2")
    vm = Occupant(addresses=(main, main + 1), vips=(inside, first, second))
    found = rules([subnet(1, nat=False), TWO], [vm])
    assert found == Ruleset(
        bridges=frozenset(["br1"]),
        own=frozenset([main]),
        vips=frozenset(
            [
                Vip(address=inside, vm_address=main, is_source=False),
                Vip(address=first, vm_address=main, is_source=True),
                Vip(address=second, vm_address=main, is_source=False),
            ]
        ),
    )
    assert found.is_needed
    assert found.forwarded == {4}
    assert found - found == NO_RULES
    elsewhere = Occupant(addresses=(IPv4Address("10.9.0.2"),), vips=(first,))
    assert rules([ONE], [elsewhere]) == NO_RULES


def test_peers() -> None:
    """
    Peers take rules and forwarding while there is a VM; the host has its address in the
    first subnet with VMs for them.
    """
    peer = Peer(address=IPv4Address("192.0.2.3"), cidrs=(IPv4Network("10.9.0.0/16"),))
    peering, inside = Peering(peers=(peer,)), subnet(1, nat=False)
    assert rules([inside, TWO], [], peering).peering == NO_PEERS
    found = rules([inside, TWO], [occupant("10.1.0.2")], peering)
    assert found.peering == Peering(peers=(peer,), source=IPv4Address("10.1.0.1"))
    assert found.is_needed
    assert found.forwarded == {4}
    found = rules([inside, TWO], [occupant("10.2.0.2")], peering)
    assert found.peering.source == IPv4Address("10.2.0.1")


def test_a_peer_with_a_network_of_this_host() -> None:
    """What VMs of this host send is never taken for what those of a peer send."""
    cidrs = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/16")))
    peer = Peer(address=IPv4Address("192.0.2.3"), cidrs=cidrs)
    found = rules([ONE], [occupant("10.1.0.2")], Peering(peers=(peer,)))
    assert found.remote == {cidrs[1]}
    assert found.peering.peers == (peer,)
