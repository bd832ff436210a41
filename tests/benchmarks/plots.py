"""
C{python -m tests.benchmarks.plots FILE DIR}: draws what C{--json} has written.

The drawings have a background of their own, so that they are legible on light and on dark
pages.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from tests.benchmarks.results import OURS, Figure, Results, Unusable, bare_of, told
from tests.benchmarks.subjects import ATTACH_DISK, CREATE_VM, DELETE_VM, DETACH_DISK
from tests.benchmarks.timeline import AFTER, BEFORE, WITHIN

INK, FAINT, PAPER = "#1f2328", "#d0d7de", "#ffffff"
BLUE, ORANGE, GRAY, GREEN, RED = "#0969da", "#bc4c00", "#8c959f", "#1a7f37", "#cf222e"
BESIDE_MANY = {
    CREATE_VM: BLUE,
    DELETE_VM: ORANGE,
    ATTACH_DISK: "#8250df",
    DETACH_DISK: GRAY,
}
PEERS = (ORANGE, "#8250df", "#9a6700")
SHORTEST = 0.1  # milliseconds; shorter steps are not drawn
STYLE = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.fonttype": "path",
    # The same results are drawn the same, so that a page does not change without need.
    "svg.hashsalt": "runc-cpi",
}


def draw(results: Results, directory: Path) -> Iterator[Path]:
    """
    Draw what was measured.

    @return: each file, when it is written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        figures = list(results.figures())
        if figures:
            yield _saved(calls(figures, results.peers), directory / "calls.svg")
        if results.scale:
            yield _saved(scale(results.scale), directory / "scale.svg")
        if results.timeline:
            yield _saved(timeline(results.timeline), directory / "timeline.svg")


def _saved(drawing: Drawing, path: Path) -> Path:
    drawing.savefig(path, metadata={"Date": None}, bbox_inches="tight", pad_inches=0.2)
    return path


def calls(figures: list[Figure], peers: list[str]) -> Drawing:
    """Draw a bar for each call, with the same by bare tools and what it should take."""
    drawing = Drawing(figsize=(9, 0.6 * len(figures) + 1.4))
    axes = drawing.subplots()
    names = [OURS, *peers, "bare tools"]
    colors = [BLUE, *PEERS, GRAY][: 1 + len(peers)] + [GRAY]
    height = 0.8 / len(names)
    for place, figure in enumerate(figures):
        values = [figure.median, *(figure.peers.get(who) for who in peers), figure.bare]
        for number, value in enumerate(values):
            if value is None:
                continue
            at = place + height * (number - (len(names) - 1) / 2)
            axes.barh(at, value, height * 0.9, color=colors[number])
            end = value
            if number == 0:
                end = max(figure.samples)
                extremes = [[value - min(figure.samples)], [end - value]]
                axes.errorbar(value, at, xerr=extremes, color=INK, elinewidth=0.8)
            _write(axes, told(value), end, at, size=7)
        limit = figure.limit
        if limit is not None:
            color = RED if figure.is_met is False else GREEN
            first = place - height * len(names) / 2
            axes.vlines(limit, first - 0.04, first + height, color=color)
    axes.set_yticks(range(len(figures)), [_label(figure) for figure in figures])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel("milliseconds, logarithmic: medians; thin lines: the least to the most")
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    _legend(axes, dict(zip(names, colors, strict=True)))
    return drawing


def _write(axes: Axes, text: str, end: float, place: float, size: float) -> None:
    """Write something behind the end of a bar."""
    axes.annotate(
        text,
        (end, place),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=size,
    )


def _label(figure: Figure) -> str:
    return f"{figure.subject.name}\n{bare_of(figure.subject)}"


def _legend(axes: Axes, colors: dict[str, str]) -> None:
    for name, color in colors.items():
        axes.plot([], [], color=color, linewidth=6, label=name)
    axes.plot([], [], color=GREEN, label="aim, met")
    axes.plot([], [], color=RED, label="aim, missed")
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=5, frameon=False)


def scale(levels: list[dict[str, Any]]) -> Drawing:
    """Draw what calls take beside more and more VMs, and the memory of the daemon."""
    drawing = Drawing(figsize=(9, 4))
    times, memory = drawing.subplots(1, 2, width_ratios=[2, 1])
    vms = [level["vms"] for level in levels]
    for name, color in BESIDE_MANY.items():
        took = [level["calls"][name] for level in levels]
        times.plot(vms, took, color=color, marker="o", label=name)
    memory.plot(vms, [level["memory"] for level in levels], color=GREEN, marker="o")
    times.set_ylabel("milliseconds, medians")
    times.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    memory.set_ylabel("memory of the daemon, MiB")
    for axes in (times, memory):
        axes.set_xlabel("VMs beside")
        axes.set_ylim(bottom=0)
        axes.grid(color=FAINT, linewidth=0.6)
    drawing.tight_layout()
    return drawing


def timeline(taken: dict[str, Any]) -> Drawing:
    """Draw the steps of one call, each in a line of its own, as they began."""
    spans = [span for span in taken["spans"] if span["ms"] >= SHORTEST]
    drawing = Drawing(figsize=(9, 0.27 * len(spans) + 1.1))
    axes = drawing.subplots()
    colors = {BEFORE: GRAY, AFTER: GRAY, WITHIN: FAINT}
    spans = sorted(spans, key=lambda span: (span["start"], -span["ms"]))
    for place, span in enumerate(spans):
        color = colors.get(span["name"], ORANGE if "runc" in span["name"] else BLUE)
        axes.barh(place, span["ms"], 0.7, left=span["start"], color=color)
        text = f"{span['name']} {span['ms']:.1f}"
        _write(axes, text, span["start"] + span["ms"], place, size=8.5)
    axes.invert_yaxis()
    axes.set_yticks([])
    axes.set_xlim(0, taken["ms"] * 1.2)
    axes.set_xlabel(f"milliseconds since BOSH started the CPI; {taken['ms']:.0f} in all")
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    return drawing


def main() -> None:
    """Draw what the command line names."""
    file, directory = map(Path, sys.argv[1:])
    try:
        for path in draw(Results.read(file), directory):
            print(f"drew {path}")
    except Unusable as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
