"""The table has a row of each distribution: the last that was tried."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from tests.distributions.table import BEGIN, END, PAGE, update
from tests.distributions.trial import FAILS, PARTS, WORKS, Outcome

EXAMPLE = Outcome(
    distribution="Example 2",
    python="3.12.1",
    runc="1.2.3",
    kernel="6.1.2",
    cgroups="v2",
    results=dict.fromkeys(PARTS, WORKS),
    day=date(2026, 2, 3),
)
EMPTY = f"before\n{BEGIN}\n{END}after\n"


def rows(page: str) -> list[str]:
    """Return the rows of the table in a page."""
    return [line for line in page.splitlines() if line.startswith("| Example")]


def test_a_row() -> None:
    """A row says where it was tried, and what came of each part."""
    page = update(EMPTY, [EXAMPLE])
    results = " | ".join([WORKS] * len(PARTS))
    where = "Example 2 | 3.12.1 | 1.2.3 | 6.1.2 | v2"
    assert rows(page) == [f"| {where} | {results} | 2026-02-03 |"]
    assert page.startswith("before\n")
    assert page.endswith("after\n")


def test_only_the_row_of_what_was_tried_changes() -> None:
    """A distribution that was tried again has its new row, and others keep theirs."""
    other = replace(EXAMPLE, distribution="Example 1")
    failed = replace(EXAMPLE, results={**EXAMPLE.results, "quickstart, runit": FAILS})
    both = update(EMPTY, [EXAMPLE, other])
    again = update(both, [failed])
    assert rows(again)[0] == rows(both)[0]
    assert FAILS in rows(again)[1]
    assert len(rows(again)) == 2
    assert not failed.is_good


def test_the_page_has_its_place() -> None:
    """An update without rows leaves the page as it is."""
    page = PAGE.read_text("utf-8")
    assert update(page, []) == page
