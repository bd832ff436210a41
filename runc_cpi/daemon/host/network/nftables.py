"""The table of nftables of a daemon, and the sysctls that go with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from twisted.logger import Logger

from runc_cpi.daemon.host.network import (
    conntrack,
    found_rules,
    host_forwarding,
    libnftables,
    rtnetlink,
    sysctls,
    table,
    vip_flows,
)
from runc_cpi.daemon.host.network.host_forwarding import HostForwarding
from runc_cpi.daemon.host.network.links import find
from runc_cpi.daemon.host.network.turns import turn
from runc_cpi.daemon.host.network.veth import host_interfaces
from runc_cpi.daemon.networks.model import Address
from runc_cpi.daemon.networks.rules import Redirection, Ruleset, Vip

FIREWALLD = "firewalld"  # the name of its table

OwnBridges = Callable[[], AbstractSet[str]]
Redirections = frozenset[Redirection]


class Table:
    """
    The table of one daemon, and what goes with it; every method but L{has} blocks.

    @param name: the table's.
    @param own_bridges: returns the bridges that VMs can be connected to.
    """

    log = Logger()

    def __init__(self, name: str, own_bridges: OwnBridges) -> None:
        self._name, self._own_bridges = name, own_bridges
        # What an earlier daemon left is not known.
        self._loaded: Ruleset | None = None
        # How many packets the counter of the overlay had last.
        self._dropped = 0
        self._forwarding = HostForwarding(name)

    def has(self, ruleset: Ruleset) -> bool:
        """Say, at once, whether L{apply} would have nothing to do or to look at."""
        return ruleset == self._loaded and not ruleset.looped

    def apply(self, ruleset: Ruleset) -> None:
        """
        Make these the rules; only what differs is changed.

        @raise OSError: if the kernel refuses; the next call makes all rules anew.
        """
        before, self._loaded = self._loaded, None
        if before is None:
            found, vips = self._found()
            come_vips = ruleset.vips
        else:
            found, vips = before.redirections, vip_flows.places(before.vips - ruleset.vips)
            come_vips = ruleset.vips - before.vips
        if before is None or not _is_alike(before, ruleset):
            self._replace(ruleset, before)
        elif before != ruleset and ruleset.is_needed:
            self._loop(before.looped - ruleset.looped, on=False)
            try:
                libnftables.run(table.change(self._name, before, ruleset))
            except libnftables.NftablesUnusable:
                self._replace(ruleset, before)  # somebody else was at it
        # A bridge may be a new one of the same name.
        self._loop(ruleset.looped, on=True)
        now = ruleset.redirections
        # Whether an earlier daemon came as far as this is not known.
        come = now if before is None else now - found
        self._correct_flows(found - now, come, now)
        self._correct_vips(vips, come_vips, afresh=before is None)
        self._loaded = ruleset

    def _found(self) -> tuple[frozenset[Redirection], Mapping[Address, Address]]:
        """Return what the table of an earlier daemon leads to VMs."""
        try:
            return found_rules.redirections(self._name), found_rules.vips(self._name)
        except libnftables.NftablesUnusable:
            return frozenset(), {}  # a host without it has no table

    def restore(self) -> bool:
        """
        Put back what is missing of the rules.

        @return: whether something was.
        @raise OSError: if the kernel refuses.
        """
        ruleset = self._loaded
        if ruleset is None or not ruleset.is_needed:
            return False
        chains = self._tables().get(self._name, set())
        is_whole = table.EDITION in chains and self._leads_to_vms(ruleset)
        if is_whole and self._forwarding.is_so(ruleset.forwarded):
            return False
        self._replace(ruleset, ruleset)
        self._loop(ruleset.looped, on=True)
        now = ruleset.redirections
        self._correct_flows(frozenset(), now, now)
        self._correct_vips({}, ruleset.vips, afresh=True)
        return True

    def _leads_to_vms(self, ruleset: Ruleset) -> bool:
        """Say whether the table has all ports and addresses that lead to VMs."""
        missing = ruleset.redirections - found_rules.redirections(self._name)
        lost = vip_flows.places(ruleset.vips).items() - found_rules.vips(self._name).items()
        return not missing and not lost

    def _replace(self, ruleset: Ruleset, before: Ruleset | None) -> None:
        """Make the table anew, or remove it, whatever there is."""
        # Of two daemons that look at each other's tables at once, none would be the last.
        with turn():
            self._replace_alone(ruleset, before)

    def _replace_alone(self, ruleset: Ruleset, before: Ruleset | None) -> None:
        looped = self._own_bridges() if before is None else before.looped
        self._loop(looped - ruleset.looped, on=False)
        try:
            tables = self._tables()
        except libnftables.NftablesUnusable:
            if ruleset.is_needed:
                raise
            return  # a host without it has no table
        daemons = [name for name in tables if table.is_a_daemons(name)]
        found = tables.pop(self._name, None)
        if found is not None:
            looped = host_forwarding.interfaces_in(self._name, "looped")
            self._loop(looped - ruleset.looped, on=False)
        # The tables of other daemons tell as well: one of them turned forwarding on.
        others = [tables[name] for name in daemons if name in tables]
        self._forwarding.note(ruleset.forwarded, found or set(), others, daemons)
        if ruleset.is_needed:
            libnftables.run(
                table.whole(
                    self._name,
                    ruleset,
                    marked=self._forwarding.marked,
                    learners=self._forwarding.learners,
                )
            )
        elif found is not None:
            libnftables.run(table.removal(self._name))
        self._forwarding.begin(ruleset.forwarded)

    def _correct_flows(
        self, gone: Redirections, come: Redirections, now: Redirections
    ) -> None:
        try:
            conntrack.correct(gone, come, now)
        except OSError as error:
            self.log.warn(
                "published ports of udp: who sends to them already may go on to reach what "
                "they led to before: {reason}",
                reason=str(error),
            )

    def _correct_vips(
        self, gone: Mapping[Address, Address], come: Collection[Vip], *, afresh: bool
    ) -> None:
        try:
            vip_flows.correct(gone, vip_flows.places(come), afresh=afresh)
        except OSError as error:
            self.log.warn(
                "vips: who sends to one already may go on to reach what it led to before: "
                "{reason}",
                reason=str(error),
            )

    def dropped(self) -> int:
        """Return how many packets the overlay has not let in since this was asked last."""
        if self._loaded is None or self._loaded.peering.overlay is None:
            return 0
        try:
            printed = libnftables.run(
                f"list counter {table.FAMILY} {self._name} {table.COUNTER}"
            )
        except libnftables.NftablesUnusable:
            printed = ""  # somebody took the table away
        before, self._dropped = self._dropped, table.packets_in(printed)
        return max(0, self._dropped - before)

    @staticmethod
    def firewalld() -> str | None:
        """
        Return what nft prints of firewalld's table, or L{None} if there is none.

        @raise NotPermitted: if this process may not look.
        """
        try:
            return libnftables.run(f"list table {table.FAMILY} {FIREWALLD}")
        except libnftables.NotPermitted:
            raise
        except libnftables.NftablesUnusable:
            return None  # without nftables there is no table

    def _tables(self) -> dict[str, set[str]]:
        printed = libnftables.run(f"list chains {table.FAMILY}")
        return dict(table.chains_in(printed))

    def reflect(self, vm_cid: str) -> None:
        """
        Let a VM that is connected reach itself by ports of the host.

        @raise OSError: if the kernel refuses.
        """
        for name in host_interfaces(vm_cid):
            if (index := find(name)) is not None:
                rtnetlink.reflect(index)

    def _loop(self, bridges: Any, *, on: bool) -> None:
        for bridge in sorted(bridges):
            sysctls.route_loopback(bridge, on=on)


def _is_alike(one: Ruleset, other: Ruleset) -> bool:
    """Say whether the contents of sets are all that differs."""
    if one.peering != other.peering:
        return False
    return (one.is_needed, one.forwarded) == (other.is_needed, other.forwarded)
