"""What was measured: kept as JSON, and reported as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from typing_extensions import Self

from tests.benchmarks.machine import sentence
from tests.benchmarks.measuring import Samples
from tests.benchmarks.subjects import SUBJECTS, Subject

FORMAT = 1
OURS = "runc-cpi"
BARE = "bare tools"


class Unusable(Exception):
    """A file of results that cannot be used; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """
    What is told of a subject, in milliseconds.

    @ivar samples: what it took in each round.
    @ivar bare: the median of what it is compared with, if that was measured.
    @ivar ratio: how many times as long it takes, less what is taken off.
    @ivar peers: the medians of others, by their names.
    """

    subject: Subject
    samples: list[float]
    bare: float | None
    ratio: float | None
    peers: Mapping[str, float]

    @property
    def median(self) -> float:
        """The median of all rounds."""
        return median(self.samples)

    @property
    def limit(self) -> float | None:
        """The milliseconds that it should take at most, if anything says so."""
        aim = self.subject.aim
        if aim.ms is None and aim.times is not None and self.bare is not None:
            return aim.times * self.bare
        return aim.ms

    @property
    def is_met(self) -> bool | None:
        """Whether it takes as little as it should; L{None} if nothing says how much."""
        aim, met = self.subject.aim, []
        if aim.ms is not None:
            met.append(self.median <= aim.ms)
        if aim.times is not None and self.ratio is not None:
            met.append(self.ratio <= aim.times)
        return all(met) if met else None


@dataclass(kw_only=True)
class Results:
    """
    All that one run has measured.

    @ivar machine: what it was measured on.
    @ivar samples: milliseconds of each round, by who took them and for what.
    @ivar refused: what others could not do, and why, by the same.
    @ivar scale: what was measured beside so many VMs each, as L{scale.Figures} have it.
    @ivar timeline: the steps of one create_vm, as L{timeline.taken} returns them.
    """

    machine: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, Samples] = field(default_factory=dict)
    refused: dict[str, dict[str, str]] = field(default_factory=dict)
    scale: list[dict[str, Any]] = field(default_factory=list)
    timeline: dict[str, Any] = field(default_factory=dict)

    @property
    def peers(self) -> list[str]:
        """Who else was measured."""
        return [name for name in self.samples if name not in (OURS, BARE)]

    def _median(self, who: str, name: str) -> float | None:
        samples = self.samples.get(who, {}).get(name)
        return median(samples) if samples else None

    def figures(self) -> Iterator[Figure]:
        """Return what is told of each subject that was measured, in the table's order."""
        for subject in SUBJECTS:
            samples = self.samples.get(OURS, {}).get(subject.name)
            if not samples:
                continue
            bare, less = self._median(BARE, subject.bare), 0.0
            if subject.less:
                less = self._median(OURS, subject.less) or 0.0
            others = {who: self._median(who, subject.name) for who in self.peers}
            yield Figure(
                subject=subject,
                samples=samples,
                bare=bare,
                ratio=None if not bare else (median(samples) - less) / bare,
                peers={who: ms for who, ms in others.items() if ms is not None},
            )

    def write(self, path: Path) -> None:
        """Write the file."""
        document = {"format": FORMAT, **asdict(self)}
        path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """
        Read a file that L{write} has written.

        @raise Unusable: if it is none, or of another format.
        """
        try:
            document = json.loads(path.read_text("utf-8"))
            if document.pop("format") != FORMAT:
                raise Unusable(f"{path}: another version of the benchmark wrote it")
            # Without what it was measured on, nobody knows what it is worth.
            sentence(document["machine"])
            return cls(**document)
        except OSError as error:
            raise Unusable(f"{path}: {error.strerror}") from None
        except (ValueError, AttributeError, KeyError, TypeError):
            raise Unusable(f"{path}: this is no file that --json has written") from None


def aim_of(subject: Subject) -> str:
    """Say what a call should take, in words."""
    ms, times = subject.aim.ms, subject.aim.times
    parts = [f"{ms:,.0f} ms"] if ms is not None else []
    parts += [f"{times:g} x"] if times is not None else []
    return ", ".join(parts)


def bare_of(subject: Subject) -> str:
    """Say what a call is compared with."""
    return f"{subject.bare}, less {subject.less}" if subject.less else subject.bare


def told(milliseconds: float) -> str:
    """Write milliseconds: with a decimal if they are few."""
    return f"{milliseconds:,.1f}" if milliseconds < 100 else f"{milliseconds:,.0f}"


def table(results: Results, before: Results | None = None) -> str:
    """
    Return the report as text.

    @param before: results to compare with.
    """
    then = {each.subject.name: each for each in before.figures()} if before else {}
    head = ["", "ms", "least to most", *(["before"] if before else []), "x", "bare", "aim"]
    lines = [[*head, *results.peers]]
    for figure in results.figures():
        subject = figure.subject
        missed = "" if figure.is_met is not False else "  MISSED"
        earlier = then.get(subject.name)
        cells = [subject.name, told(figure.median)]
        cells.append(f"{told(min(figure.samples))} to {told(max(figure.samples))}")
        if before:
            cells.append(told(earlier.median) if earlier else "")
        cells.append("" if figure.ratio is None else f"{figure.ratio:.2f}")
        cells.append("" if figure.bare is None else told(figure.bare))
        cells.append(aim_of(subject) + missed)
        for who in results.peers:
            refused = subject.name in results.refused.get(who, {})
            ms = figure.peers.get(who)
            cells.append("refused" if refused else "" if ms is None else told(ms))
        lines.append(cells)
    notes = [
        f"{each.subject.name}: x {bare_of(each.subject)}" for each in results.figures()
    ]
    reasons = [
        f"{who} refused {name}: {why}"
        for who, refused in results.refused.items()
        for name, why in refused.items()
    ]
    return "\n".join([*_aligned(lines), "", *notes, *reasons])


def _aligned(lines: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if number == 1 else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in lines
    ]
