"""Links in the documentation lead somewhere: to a file of the project, and to a heading."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness.images import PROJECT

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """Return what links can name in a page, as GitHub makes it of headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", line).lower().replace(" ", "-") for line in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links(page: Path) -> None:
    """Each link to a file of the project names one, and a heading of it if it names one."""
    broken = []
    for link in LINK.findall(page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_the_index_has_each_page() -> None:
    """docs/README.md leads to all pages beside it."""
    index = PROJECT / "docs" / "README.md"
    found = {link.partition("#")[0] for link in LINK.findall(index.read_text("utf-8"))}
    pages = {page.name for page in index.parent.glob("*.md")} - {index.name}
    assert pages <= found
