"""A host without the library of nftables, or a user who may not use it."""

from __future__ import annotations

import os

import pytest

from runc_cpi.daemon.host import requirements
from runc_cpi.daemon.host.network import libnftables
from runc_cpi.daemon.host.network.nftables import Table
from runc_cpi.daemon.networks.rules import NO_RULES, Ruleset


@pytest.fixture(autouse=True)
def without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for a library that nobody has."""
    monkeypatch.setattr(libnftables, "NAME", "libnobodyhasthis.so.1")


def test_vms_that_stay_inside() -> None:
    """Without rules nothing is needed."""
    table, inside = Table("runc_cpid_none", set), Ruleset(bridges=frozenset(["br1"]))
    for ruleset in (NO_RULES, inside, inside, NO_RULES):
        table.apply(ruleset)
        assert table.restore() is False
    assert table.firewalld() is None


def test_rules_that_cannot_be() -> None:
    """The error names the library, and comes again when it is tried again."""
    table, bridge = Table("runc_cpid_none", set), frozenset(["br1"])
    for _ in range(2):
        with pytest.raises(libnftables.NftablesUnusable, match="libnobodyhasthis"):
            table.apply(Ruleset(bridges=bridge, translated=bridge))


def test_what_is_required() -> None:
    """A daemon whose VMs are to get out does not start; it says what to install."""
    with pytest.raises(requirements.HostUnfit, match="^nat: .*libnftables1; nat: false"):
        requirements.check_nftables("nat")


def test_who_is_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is not called, which would print that it does not like that."""
    monkeypatch.setattr(libnftables, "_library", object)
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    with pytest.raises(libnftables.NftablesUnusable, match="Operation not permitted"):
        libnftables.run("list tables")
