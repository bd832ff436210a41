"""What all kinds of calls share: where they are measured, and how the rounds go."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.contenders import Contender, Ours, Refused
from tests.benchmarks.measuring import Work, sampled
from tests.benchmarks.results import BARE, OURS, Results

Works = Iterable[tuple[str, Work]]
"""The name of each thing, and what does it, in the order of a round."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """
    Where calls are measured.

    @ivar ours: this project.
    @ivar others: who else is measured.
    @ivar image: the stemcell's image that is unpacked.
    @ivar place: a directory on the file system that the daemon uses.
    @ivar rounds: how many of what takes milliseconds; of the rest a quarter.
    """

    ours: Ours
    others: Sequence[Contender]
    image: Path
    place: Path
    rounds: int

    @property
    def few(self) -> int:
        """How many rounds there are of what takes seconds."""
        return max(1, self.rounds // 4)


class Calls(ABC):
    """Calls of one kind that are measured together; each round has all of them."""

    names: tuple[str, ...] = ()

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    @property
    def rounds(self) -> int:
        """How many rounds there are."""
        return self.bench.rounds

    @abstractmethod
    def bare(self) -> Works:
        """Return the same work by bare tools."""

    @abstractmethod
    def calls(self, contender: Contender) -> AbstractContextManager[Works]:
        """
        Return the calls of a contender, with what they need.

        @raise Refused: if the contender refuses that.
        """

    def measure(self, results: Results) -> None:
        """
        Measure everything, in turns.

        Another contender that refuses a call is measured no further with this kind.
        """
        with ExitStack() as stack:
            works = list(stack.enter_context(self.calls(self.bench.ours)))
            bare = list(self.bare())
            rivals: dict[Contender, list[tuple[str, Work]]] = {}
            for other in self.bench.others:
                try:
                    rivals[other] = list(stack.enter_context(self.calls(other)))
                except Refused as error:
                    results.refused.setdefault(other.name, {})[self.names[0]] = str(error)
            for _ in range(self.rounds):
                sampled(1, bare, results.samples.setdefault(BARE, {}))
                sampled(1, works, results.samples.setdefault(OURS, {}))
                self.bench.ours.settle()
                for other in list(rivals):
                    if not _round(other, rivals[other], results):
                        del rivals[other]


def _round(other: Contender, works: list[tuple[str, Work]], results: Results) -> bool:
    """Make each call of a contender that it does something for, up to one it refuses."""
    for name, work in works:
        if name in other.does_nothing:
            continue
        try:
            sampled(1, [(name, work)], results.samples.setdefault(other.name, {}))
        except Refused as error:
            results.refused.setdefault(other.name, {})[name] = str(error)
            return False
    return True
