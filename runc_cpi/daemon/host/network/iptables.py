"""Keeps VMs reachable beside the firewalls of others, most of which use iptables."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from twisted.logger import Logger

from runc_cpi.daemon.host.network import beside
from runc_cpi.daemon.host.processes import Processes
from runc_cpi.daemon.networks.rules import Ruleset
from runc_cpi.errors import CloudError

PROGRAMS = {4: "iptables", 6: "ip6tables"}  # by the kind of IP
# All VMs wait meanwhile.
WAIT = "2"  # seconds for its lock
TIMEOUT = 5.0  # seconds
LOCKED = 4  # its exit status if others keep the lock: RESOURCE_PROBLEM, xtables.h


class Neighbours:
    """
    Changes Docker's chain for others, and says of other firewalls what to type.

    @param comment: what marks rules as ours.
    """

    log = Logger()

    def __init__(self, processes: Processes, comment: str) -> None:
        self._processes, self._comment = processes, comment
        self._said: set[str] = set()
        # The kinds of IP that there may be rules of ours for, at first of earlier daemons.
        self._versions = {4, 6}

    async def agree(self, ruleset: Ruleset, firewalld: str | None) -> bool:
        """
        Have other firewalls let pass what goes by bridges of these rules, and to peers.

        @param firewalld: what nft prints of firewalld's table, or L{None} if it has none.
        @return: whether something was changed.
        @raise CloudError: if iptables cannot be run, or refuses.
        """
        listings = {}
        changed = False
        for version, program in PROGRAMS.items():
            bridges = ruleset.bridges if version == 4 else ruleset.routed
            remote = ruleset.remote if version == 4 else ()
            if not bridges and version not in self._versions:
                continue
            listing = listings[version] = await self._list(program)
            changes = beside.corrections(listing, self._comment, bridges, remote)
            for change in changes:
                await self._run(program, change)
            self._versions.discard(version)
            if bridges:
                self._versions.add(version)
            for bridge in sorted(bridges):
                self._advise(bridge, beside.advice(listing, firewalld, bridge, program))
            changed |= bool(changes)
        overlay = ruleset.peering.overlay
        if overlay is not None:
            advice = beside.advice_for_overlay(listings.get(4, ""), firewalld, overlay.port)
            self._advise(overlay.interface, advice)
        return changed

    def _advise(self, interface: str, commands: Sequence[str]) -> None:
        text = "; ".join(commands)
        if text and text not in self._said:
            self._said.add(text)
            self.log.warn(
                "{interface}: another firewall of this host stops what VMs send; "
                "type: {text}",
                interface=interface,
                text=text,
            )

    async def _list(self, program: str) -> str:
        # A host need not have it, and its kernel may have no such table.
        if shutil.which(program) is None:
            return ""
        argv = [program, "-w", WAIT, "-S"]
        outcome = await self._processes.run(argv, timeout=TIMEOUT)
        if outcome.status == LOCKED or outcome.timed_out:
            raise CloudError(outcome.complaint())
        return outcome.stdout.decode("utf-8", "replace") if outcome.ok else ""

    async def _run(self, program: str, change: Sequence[str]) -> None:
        argv = [program, "-w", WAIT, *change]
        outcome = await self._processes.run(argv, timeout=TIMEOUT)
        if not outcome.ok:
            raise CloudError(outcome.complaint())
