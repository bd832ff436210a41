"""Rules in the words of nft, as far as no kernel is needed."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_interface

from runc_cpi.daemon.host.network import table
from runc_cpi.daemon.networks.model import described
from runc_cpi.daemon.networks.peers import Overlay, Peer, Peering
from runc_cpi.daemon.networks.ports import parse
from runc_cpi.daemon.networks.rules import Occupant, Redirection, Ruleset, Vip, rules

FIRST = Ruleset(bridges=frozenset(["br1", "br2"]), translated=frozenset(["br1"]))
PORT = Redirection(
    protocol="tcp",
    address=None,
    port=8080,
    vm_address=IPv4Address("10.1.0.2"),
    vm_port=80,
)
GATEWAYS = ("10.0.0.1/24", "fd00:0:0:7::1/64")
SECOND = Ruleset(
    bridges=frozenset(["br1"]),
    translated=frozenset(["br1"]),
    own=frozenset([PORT.vm_address]),
    redirections=frozenset([PORT]),
)


def test_names_of_tables() -> None:
    """A daemon's table has the same name each time, and another daemon's has another."""
    assert table.name_of("/a") == table.name_of("/a") != table.name_of("/b")
    assert table.name_of("/a").startswith(table.PREFIX)


def test_changes() -> None:
    """Only elements that differ are named."""
    assert table.change("t", FIRST, FIRST) == ""
    assert table.change("t", FIRST, SECOND).splitlines() == [
        'delete element inet t bridges { "br2" }',
        'delete element inet t within { "br2" . "br2" }',
        "add element inet t own { 10.1.0.2 . 10.1.0.2 }",
        "add element inet t ports { tcp . 8080 : 10.1.0.2 . 80 }",
    ]


def test_vips() -> None:
    """A vip is in a map, and in another one if its VM leaves by it."""
    inside, outside = map(IPv4Address, ("10.1.0.9", "203.0.113.1"))
    vips = frozenset(
        Vip(address=vip, vm_address=PORT.vm_address, is_source=vip == outside)
        for vip in (inside, outside)
    )
    assert table.change("t", FIRST, replace(FIRST, vips=vips)).splitlines() == [
        "add element inet t vips { 10.1.0.9 : 10.1.0.2, 203.0.113.1 : 10.1.0.2 }",
        "add element inet t sources { 10.1.0.2 : 203.0.113.1 }",
    ]
    printed = "\t\telements = { 10.1.0.9 : 10.1.0.2,\n\t\t\t     203.0.113.1 : 10.1.0.2 }\n"
    assert table.vips_in(printed) == dict.fromkeys([inside, outside], PORT.vm_address)


def test_chains_that_are_there() -> None:
    """What nft prints tells which tables there are, and which chains they have."""
    printed = (
        "table inet a {\n\tchain x {\n\t\ttype filter hook forward priority filter; "
        "policy accept;\n\t}\n\tchain y {\n\t}\n}\ntable inet b {\n}\n"
    )
    assert table.chains_in(printed) == {"a": {"x", "y"}, "b": set()}
    assert table.chains_in("") == {}


def test_redirections_that_are_there() -> None:
    """What nft prints of maps tells which ports are published."""
    elsewhere = replace(PORT, protocol="udp", address=IPv4Address("127.0.0.1"))
    printed = (
        "\t\telements = { tcp . 8080 : 10.1.0.2 . 80 }\n"
        "\t\telements = { 127.0.0.1 . udp . 8080 : 10.1.0.2 . 80 }\n"
    )
    assert list(table.redirections_in(printed)) == [PORT, elsewhere]


def test_filters_of_others() -> None:
    """Only what looks at a kind of IP that is forwarded counts, and no table of ours."""
    chain = "\tchain c {\n\t\ttype filter hook forward priority filter;\n\t}\n}\n"
    names = "inet runc_cpid_1", "bridge a", "ip6 b", "ip filter", "inet c"
    printed = "".join(f"table {name} {{\n{chain}" for name in names)
    assert table.filters_of_others(printed, 4) == ["ip filter", "inet c"]
    assert table.filters_of_others(printed, 6) == ["ip6 b", "inet c"]
    assert table.filters_of_others(printed.replace("forward", "input"), 4) == []


def test_names_in_a_set() -> None:
    """What nft prints of a set of interfaces tells their names."""
    printed = (
        'table inet t {\n\tset looped {\n\t\telements = { "br1",\n\t\t\t\t"br-2" }\n\t}\n}'
    )
    assert table.names_of_interfaces(printed) == {"br1", "br-2"}
    assert (
        table.names_of_interfaces("table inet t {\n\tset looped {\n\t\ttype ifname\n\t}\n}")
        == set()
    )


def test_an_overlay() -> None:
    """What is packed comes from peers alone, what is unpacked from their VMs."""
    peer = Peer(address=IPv4Address("192.0.2.3"), cidrs=(IPv4Network("10.9.0.0/16"),))
    overlay = Overlay(interface="vxlan-1", id=77, port=4789)
    peering = Peering(peers=(peer,), overlay=overlay)
    ruleset = replace(FIRST, peering=peering, remote=peering.cidrs)
    whole = table.whole("t", ruleset)
    assert "udp dport 4789 @th,96,24 77 ip saddr != { 192.0.2.3 } counter" in whole
    assert "elements = { 10.9.0.0/16 }" in whole
    assert "counter" not in table.whole("t", FIRST)


def test_counters() -> None:
    """What nft prints of a counter tells how many packets it has seen."""
    printed = "table inet t {\n\tcounter c {\n\t\tpackets 12 bytes 840\n\t}\n}"
    assert table.packets_in(printed) == 12
    assert table.packets_in("") == 0


def test_the_table() -> None:
    """Each kind of IP has maps of its own, which come back from what nft prints."""
    addresses = tuple(map(ip_address, ("10.0.0.2", "fd00:0:0:7::2")))
    vm = Occupant(addresses=addresses, ports=parse(["8080:80", "[2001:db8::1]:53:53/udp"]))
    found = rules([described(ip_interface(each)) for each in GATEWAYS], [vm])
    written = table.whole("t", found, marked=[6], learners=["eth0"])
    for kind, elements in (
        ("map ports ", "tcp . 8080 : 10.0.0.2 . 80"),
        ("map ports6 ", "tcp . 8080 : fd00:0:0:7::2 . 80"),
        ("map ports_at6 ", "2001:db8::1 . udp . 53 : fd00:0:0:7::2 . 53"),
        ("set own6 ", "fd00:0:0:7::2 . fd00:0:0:7::2"),
        ("set learners ", '"eth0"'),
    ):
        part = written.partition(kind)[2].partition("}")[0]
        assert f"elements = {{ {elements} " in part + " "
    assert set(table.redirections_in(written)) == found.redirections
    assert table.MARKS[6] in table.chains_in(written)["t"]
    assert table.MARKS[4] not in table.chains_in(written)["t"]
