"""What all kinds of calls share: where they are measured, and how the rounds go."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError, SubprocessError

from tests.benchmarks.contenders import Contender, Ours, Refused
from tests.benchmarks.measuring import Work, sampled
from tests.benchmarks.results import BARE, OURS, Results
from tests.harness.lab import NewDaemon

FEWER = 4  # times
Works = Iterable[tuple[str, Work]]
"""The name of each thing, and what does it, in the order of a round."""


class Failed(Exception):
    """This project or a bare tool failed; the message says which, at what, and why."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """
    Where calls are measured.

    @ivar ours: this project.
    @ivar others: who else is measured.
    @ivar new_daemon: makes further daemons of this project.
    @ivar image: the stemcell's image that is unpacked.
    @ivar place: a directory on the file system that the daemon uses.
    @ivar rounds: how many of what takes milliseconds; of the rest a quarter.
    """

    ours: Ours
    others: Sequence[Contender]
    new_daemon: NewDaemon
    image: Path
    place: Path
    rounds: int

    @property
    def few(self) -> int:
        """How many rounds there are of what takes seconds."""
        return max(1, self.rounds // FEWER)


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
    def bare(self) -> AbstractContextManager[Works]:
        """Return the same work by bare tools, which leave nothing."""

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

        @raise Failed: if this project refuses a call, or a bare tool fails.
        """
        kind = ", ".join(self.names)
        with ExitStack() as stack:
            # First: a copy of a VM's mounts would keep its disks in use when it ends.
            with _naming(BARE, f"the preparations of {kind}"):
                bare = list(stack.enter_context(self.bare()))
            with _naming(OURS, f"the preparations of {kind}"):
                works = list(stack.enter_context(self.calls(self.bench.ours)))
            rivals: dict[Contender, list[tuple[str, Work]]] = {}
            for other in self.bench.others:
                try:
                    rivals[other] = list(stack.enter_context(self.calls(other)))
                except Refused as error:
                    results.refused.setdefault(other.name, {})[self.names[0]] = str(error)
            for _ in range(self.rounds):
                _must(BARE, bare, results)
                _must(OURS, works, results)
                self.bench.ours.settle()
                for other in list(rivals):
                    if not _round(other, rivals[other], results):
                        del rivals[other]


@contextmanager
def _naming(who: str, what: str) -> Iterator[None]:
    """Say who failed at what."""
    try:
        yield
    except (Refused, SubprocessError) as error:
        why = str(error)
        if isinstance(error, CalledProcessError) and error.stderr:
            why += f" It said: {' '.join(error.stderr.split())}"
        raise Failed(f"{who} failed at {what}: {why}") from error


def _must(who: str, works: list[tuple[str, Work]], results: Results) -> None:
    """Do everything once; nobody may fail."""
    for name, work in works:
        with _naming(who, name):
            sampled(1, [(name, work)], results.samples.setdefault(who, {}))


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
