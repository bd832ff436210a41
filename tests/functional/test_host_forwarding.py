"""What the host forwards while rules need it, and before and afterwards; without VMs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from runc_cpi.daemon.host.network import libnftables, sysctls
from runc_cpi.daemon.host.network.nftables import Table
from runc_cpi.daemon.networks.rules import NO_RULES, Ruleset

BRIDGES = frozenset(["none"])
FOUR = Ruleset(bridges=BRIDGES, translated=BRIDGES)
SIX = Ruleset(bridges=BRIDGES, routed=BRIDGES)
BOTH = Ruleset(bridges=BRIDGES, translated=BRIDGES, routed=BRIDGES)
INTERFACE = "lan"
LEARNING = Path(f"/proc/sys/net/ipv6/conf/{INTERFACE}/accept_ra")


@pytest.fixture
def tables(leaves_nothing: None) -> Iterator[list[Table]]:
    """The tables of two daemons, on a host with an interface that listens to routers."""
    tables = [Table(f"runc_cpid_{name}", set) for name in ("one", "two")]
    with IPRoute() as ip:
        ip.link("add", ifname=INTERFACE, kind="veth", peer={"ifname": "lan-peer"})
        (index,) = ip.link_lookup(ifname=INTERFACE)
        LEARNING.write_text("1")
        yield tables
        for table in tables:
            table.apply(NO_RULES)
        for version in (4, 6):
            sysctls.set_forwarding(version, on=False)
        ip.link("del", index=index)


def forwarded() -> set[int]:
    """Return the kinds of IP that the host forwards; it goes on to learn routes."""
    found = {version for version in (4, 6) if sysctls.is_forwarding(version)}
    assert LEARNING.read_text() == ("2\n" if 6 in found else "1\n")
    return found


def test_each_kind_of_ip(tables: list[Table]) -> None:
    """The host forwards what rules need at the moment, and no more."""
    table = tables[0]
    for ruleset, expected in ((SIX, {6}), (BOTH, {4, 6}), (FOUR, {4}), (SIX, {6})):
        table.apply(ruleset)
        assert forwarded() == expected
        assert table.restore() is False
    sysctls.set_forwarding(6, on=False)
    assert table.restore() is True
    assert forwarded() == {6}
    table.apply(NO_RULES)
    assert forwarded() == set()


def test_two_daemons(tables: list[Table]) -> None:
    """The host forwards as long as one of two daemons needs it."""
    one, two = tables
    one.apply(BOTH)
    two.apply(SIX)
    one.apply(FOUR)
    assert forwarded() == {4, 6}
    one.apply(NO_RULES)
    assert forwarded() == {6}
    one.apply(BOTH)
    two.apply(NO_RULES)
    assert forwarded() == {4, 6}
    one.apply(NO_RULES)
    assert forwarded() == set()


def test_after_a_crash(tables: list[Table]) -> None:
    """The table tells the next daemon what the host forwarded before."""
    tables[0].apply(BOTH)
    again = Table("runc_cpid_one", set)
    again.apply(SIX)
    assert forwarded() == {6}
    Table("runc_cpid_one", set).apply(NO_RULES)
    assert forwarded() == set()


def test_a_host_that_forwarded_before(tables: list[Table]) -> None:
    """What the host forwarded before it does afterwards."""
    sysctls.set_forwarding(6, on=True)
    LEARNING.write_text("2")
    tables[0].apply(BOTH)
    tables[0].apply(NO_RULES)
    assert forwarded() == {6}


def test_a_host_that_forwarded_for_one_interface(tables: list[Table]) -> None:
    """
    A host that forwards for an interface of somebody else learned by others until now, and
    goes on to.
    """
    (LEARNING.parent.parent / "lan-peer/forwarding").write_text("1")
    assert not sysctls.is_forwarding(6)
    tables[0].apply(SIX)
    assert forwarded() == {6}
    again = Table("runc_cpid_one", set)
    again.apply(BOTH)
    LEARNING.write_text("1")
    assert again.restore() is True
    again.apply(NO_RULES)
    assert forwarded() == {6}


def test_repairs_of_learning(tables: list[Table]) -> None:
    """What has the host learn routes while it forwards is put back; other settings stay."""
    tables[0].apply(SIX)
    LEARNING.write_text("1")
    assert tables[0].restore() is True
    assert forwarded() == {6}
    LEARNING.write_text("0")
    assert tables[0].restore() is False
    LEARNING.write_text("2")
    tables[0].apply(NO_RULES)
    assert forwarded() == set()


def test_a_host_whose_forwarding_others_need(tables: list[Table]) -> None:
    """The host goes on to forward what somebody else has rules for, of that kind alone."""
    rule = "table ip6 other {\nchain c {\ntype filter hook forward priority 0\n}\n}"
    tables[0].apply(BOTH)
    libnftables.run(rule)
    try:
        tables[0].apply(NO_RULES)
        assert forwarded() == {6}
    finally:
        libnftables.run("delete table ip6 other")
