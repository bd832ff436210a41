"""Measuring and reporting: medians of rounds in which the subjects take turns."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

Work = Callable[[], float]
"""Does something, and returns what it took in milliseconds."""
Samples = dict[str, list[float]]
"""What each thing took in each round, by its name."""


@dataclass(frozen=True)
class Row:
    """
    A line of the report.

    @ivar what: what was measured. @ivar milliseconds: its median. @ivar against: what it is
    compared with, or nothing. @ivar ratio: how many times as long it takes. @ivar aim: what
    the ratio should be. @ivar extremes: the least and the most, or nothing.
    """

    what: str
    milliseconds: float
    against: str = ""
    ratio: float | None = None
    aim: str = ""
    extremes: tuple[float, ...] = ()


def timed(work: Callable[[], object]) -> float:
    """Return how many milliseconds C{work} takes."""
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1000


def sampled(rounds: int, works: Iterable[tuple[str, Work]], samples: Samples) -> None:
    """
    Measure several things in turns, so that a disturbance affects all.

    @param works: the name of each, and what does it; the order is that within a round.
    @param samples: each round's result is added.
    """
    named = list(works)
    for _ in range(rounds):
        for name, work in named:
            samples.setdefault(name, []).append(work())


def in_turns(rounds: int, *works: Work) -> list[float]:
    """Measure several things in turns, and return the median of each."""
    samples: Samples = {}
    sampled(rounds, ((str(number), work) for number, work in enumerate(works)), samples)
    return [median(each) for each in samples.values()]


def command(argv: Sequence[str]) -> None:
    """Run a command, which must succeed."""
    subprocess.run(argv, stdin=subprocess.DEVNULL, check=True, stdout=subprocess.DEVNULL)


def layout(rows: Sequence[Row]) -> str:
    """Return the report as text."""
    lines = [f"{'':42} {'ms':>8}  {'ratio':>6}  against (aim)"]
    for row in rows:
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
        aim = f" ({row.aim})" if row.aim else ""
        figures = f"{row.milliseconds:8.1f}  {ratio:>6}"
        extremes = "  " + " to ".join(f"{each:.1f}" for each in row.extremes)
        lines.append(f"{row.what:42} {figures}  {row.against}{aim}{extremes}".rstrip())
    return "\n".join(lines)
