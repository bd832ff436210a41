"""The reference in docs/configuration.md has the keys as the code declares them."""

from __future__ import annotations

from pathlib import Path

import pytest

from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.daemon.config.reference import COMMAND, updated

DOCUMENT = Path(__file__).parents[3] / "docs" / "configuration.md"
SECTIONS = ["config.yml", *(k.name for k in DaemonConfig.keys().values() if k.section)]


def test_the_document_is_up_to_date() -> None:
    """A key that is added or changed is also in the document."""
    text = DOCUMENT.read_text("utf-8")
    assert updated(text) == text, f"docs/configuration.md is out of date; run: {COMMAND}"


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_has_its_table(section: str) -> None:
    """A section without a table would be documented nowhere."""
    assert f"<!-- keys of {section} -->" in DOCUMENT.read_text("utf-8")


def test_tables_are_replaced() -> None:
    """Whatever stands between the comments makes way for the table; the rest stays."""
    text = "a\n<!-- keys of vms -->\nold\n<!-- end of keys -->\nb\n"
    made = updated(text)
    assert "old" not in made
    assert "| `pids` | `32768` |" in made
    assert made.startswith("a\n<!--")
    assert made.endswith("-->\nb\n")
    assert updated(made) == made
