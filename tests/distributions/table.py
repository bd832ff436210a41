"""The table of what was tried, in docs/compatibility.md."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.distributions.trial import PARTS, Outcome
from tests.harness.images import PROJECT

PAGE = PROJECT / "docs" / "compatibility.md"
BEGIN = "<!-- What was tried; written by operations/test --distributions. -->\n"
END = "<!-- End of what was tried. -->\n"
COLUMNS = ("distribution", "Python", "runc", "Linux", "cgroups", *PARTS, "tried on")


def row(outcome: Outcome) -> str:
    """Return the line of one distribution."""
    where = (outcome.distribution, outcome.python, outcome.runc)
    machine = (outcome.kernel, outcome.cgroups)
    results = (outcome.results[part] for part in PARTS)
    return _line((*where, *machine, *results, outcome.day.isoformat()))


def update(page: str, outcomes: Iterable[Outcome]) -> str:
    """
    Return the page with new rows.

    @param outcomes: what was tried now. Rows of other distributions stay.
    """
    before, begin, rest = page.partition(BEGIN)
    table, end, after = rest.partition(END)
    assert begin and end, f"{PAGE.name} lacks its markers"
    rows = {line.split(" | ")[0]: line for line in table.splitlines()[3:] if line}
    for outcome in outcomes:
        line = row(outcome)
        rows[line.split(" | ")[0]] = line
    head = _line(COLUMNS), "|---" * len(COLUMNS) + "|"
    lines = [*head, *sorted(rows.values())]
    return (
        before + begin + "\n" + "".join(f"{line}\n" for line in lines) + "\n" + end + after
    )


def write(outcomes: Iterable[Outcome], page: Path = PAGE) -> None:
    """Bring the page up to date."""
    page.write_text(update(page.read_text("utf-8"), outcomes), "utf-8")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
