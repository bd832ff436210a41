"""Measuring and reporting: medians of rounds in which the subjects take turns."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


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


def in_turns(rounds: int, *works: Callable[[], float]) -> list[float]:
    """
    Measure several things in turns, so that a disturbance affects all.

    @param works: each returns what it took, in milliseconds. @return: the median of each.
    """
    results = [[work() for work in works] for _ in range(rounds)]
    return [median(column) for column in zip(*results, strict=True)]


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
