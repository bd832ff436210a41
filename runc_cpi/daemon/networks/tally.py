"""The rules of all VMs, added up from those of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from runc_cpi.daemon.networks.blocks import RoutedBlock
from runc_cpi.daemon.networks.model import Subnet
from runc_cpi.daemon.networks.peers import Peering
from runc_cpi.daemon.networks.rules import NO_RULES, Occupant, Ruleset, rules, with_peers

T = TypeVar("T")

# What is in a ruleset by its VMs; the rest follows from peers.
SETS = (
    *("bridges", "routed", "translated", "translated6", "isolated", "isolated6"),
    *("delegated", "looped"),
    *("own", "redirections", "vips"),
)


class Tally:
    """
    What L{rules} returns for the VMs that are in here.

    Only the VMs that changed are looked at, so a change takes no longer beside many.
    """

    def __init__(self) -> None:
        self._occupants: dict[str, Occupant] = {}
        self._changed: set[str] = set()
        # What follows from each VM alone, and by how many VMs each of it is there.
        self._rulesets: dict[str, Ruleset] = {}
        self._counts: Mapping[str, dict[Any, int]] = {name: {} for name in SETS}
        self._blocks: dict[RoutedBlock, int] = {}
        self._subnets: Sequence[Subnet] = ()

    def put(self, vm_cid: str, occupant: Occupant) -> None:
        """Take a VM in, instead of what it was before."""
        self.remove(vm_cid)
        self._occupants[vm_cid] = occupant
        _add(self._blocks, occupant.blocks, 1)

    def get(self, vm_cid: str) -> Occupant:
        """Return a VM that was taken in."""
        return self._occupants[vm_cid]

    def remove(self, vm_cid: str) -> None:
        """Take a VM out, if it is in."""
        occupant = self._occupants.pop(vm_cid, None)
        if occupant is not None:
            _add(self._blocks, occupant.blocks, -1)
        self._changed.add(vm_cid)

    def ruleset(self, subnets: Sequence[Subnet], peering: Peering) -> Ruleset:
        """
        Return the rules that follow from subnets and all VMs.

        @param subnets: those of this host.
        @param peering: the peers of the configuration.
        """
        self._changed |= set(self._touched(subnets))
        self._subnets = subnets
        for vm_cid in self._changed:
            occupant = self._occupants.get(vm_cid)
            self._count(self._rulesets.pop(vm_cid, NO_RULES), -1)
            if occupant is not None:
                found = self._rulesets[vm_cid] = rules(subnets, [occupant])
                self._count(found, 1)
        self._changed.clear()
        total: dict[str, Any] = {
            name: frozenset(counts) for name, counts in self._counts.items()
        }
        return with_peers(Ruleset(**total), subnets, peering)

    def blocks(self) -> frozenset[RoutedBlock]:
        """Return the blocks of addresses of all VMs."""
        return frozenset(self._blocks)

    def _touched(self, subnets: Sequence[Subnet]) -> Iterator[str]:
        """Return the VMs in subnets that came, went or changed."""
        # Subnets that stay are the same objects; to compare hundreds of them takes long.
        known, now = ({id(s): s for s in each} for each in (self._subnets, subnets))
        differing = [(known | now)[key].cidr for key in known.keys() ^ now.keys()]
        for vm_cid, occupant in self._occupants.items() if differing else ():
            places = (*occupant.addresses, *occupant.vips)
            if any(address in cidr for cidr in differing for address in places):
                yield vm_cid

    def _count(self, ruleset: Ruleset, step: int) -> None:
        """Count what is in the rules of a VM once more, or once less."""
        for name, counts in self._counts.items():
            _add(counts, getattr(ruleset, name), step)


def _add(counts: dict[T, int], elements: Iterable[T], step: int) -> None:
    """Count elements once more, or once less; what is not there any more is left out."""
    for element in elements:
        counts[element] = counts.get(element, 0) + step
        if not counts[element]:
            del counts[element]
