"""
Writes the table of docs/performance.md from docs/benchmarks.json, and draws its figures.

C{python docs/benchmarks.py [FILE]} does so; a FILE that C{operations/benchmark --json} has
written takes the place of docs/benchmarks.json first.  It must be of a commit, unless
C{--dirty} is there.  C{python docs/benchmarks.py --check} only says whether the table is up
to date.
"""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.benchmarks.machine import sentence
from tests.benchmarks.results import Figure, Results, Unusable, aim_of, bare_of, told

PAGE = ROOT / "docs" / "performance.md"
DATA = ROOT / "docs" / "benchmarks.json"
IMAGES = ROOT / "docs" / "images"
BEGIN, END = "<!-- The table: docs/benchmarks.py. -->", "<!-- End of the table. -->"
PLACE = re.compile(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}", re.S)


def row(figure: Figure, peers: list[str]) -> str:
    """Return the line of a call."""
    times = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    aim = aim_of(figure.subject)
    if figure.is_met is not None:
        aim += " ✓" if figure.is_met else " ✗"
    least, most = told(min(figure.samples)), told(max(figure.samples))
    cells = [f"`{figure.subject.name}`", told(figure.median), f"{least} to {most}"]
    cells += [aim, times, bare_of(figure.subject).replace("|", r"\|")]
    cells.append("" if figure.bare is None else told(figure.bare))
    cells += [told(figure.peers[who]) if who in figure.peers else "" for who in peers]
    return "| " + " | ".join(cells) + " |"


def table(results: Results) -> Iterator[str]:
    """Return the lines of the table, and of what is to be known of it."""
    figures = list(results.figures())
    heads = ["", "ms", "least to most", "aim", "×", "bare tools", "ms", *results.peers]
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for figure in figures:
        yield row(figure, results.peers)
    yield ""
    rounds = " and ".join(map(str, sorted({len(each.samples) for each in figures})))
    yield f"Medians of {rounds} rounds. {sentence(results.machine)}."
    for who, refused in results.refused.items():
        for name, why in refused.items():
            yield ""
            yield f"{who} refused `{name}`: `{why}`."


def taken(path: Path, *, dirty: bool = False) -> Results:
    """
    Read the results that are to take the place of docs/benchmarks.json.

    @param dirty: whether they may be of sources that no commit has.
    @raise Unusable: if the file is none, or its results cannot be measured again.
    """
    results = Results.read(path)
    commit = str(results.machine["commit"])
    if commit.endswith("-dirty") and not dirty:
        raise Unusable(
            f"{path}: it was measured at {commit}, with changes that no commit has: "
            "measure again at a commit, or add --dirty"
        )
    return results


def page_of(results: Results) -> str:
    """
    Return the text of docs/performance.md with the table of these results.

    @raise Unusable: if its place is not marked once.
    """
    written = "\n".join([BEGIN, *table(results), END])
    page, places = PLACE.subn(lambda _: written, PAGE.read_text("utf-8"))
    if places != 1:
        raise Unusable(
            f"{PAGE}: the place of the table is not marked once, but {places} times"
        )
    return page


def main() -> None:
    """Write the table, or check it."""
    parser = ArgumentParser(prog="docs/benchmarks.py")
    parser.add_argument(
        "file", nargs="?", type=Path, help="results, in place of those here"
    )
    parser.add_argument(
        "--dirty", action="store_true", help="even if no commit has the code"
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    asked = parser.parse_args()
    if asked.check and asked.file:
        parser.error("--check looks at docs/benchmarks.json, and at no other file")
    try:
        results = taken(asked.file, dirty=asked.dirty) if asked.file else Results.read(DATA)
        # Before anything is written: it fails if a part of the results is missing.
        page = page_of(results)
    except Unusable as error:
        sys.exit(str(error))
    if asked.check:
        if page != PAGE.read_text("utf-8"):
            sys.exit("docs/performance.md is not up to date: run python docs/benchmarks.py")
        return
    if asked.file:
        results.write(DATA)
    PAGE.write_text(page, "utf-8")
    # What draws takes long to import.
    from tests.benchmarks.plots import draw

    print("wrote docs/performance.md", *draw(results, IMAGES), sep="\n")


if __name__ == "__main__":
    main()
