"""docs/security.md has the refusals as they are in the code."""

from __future__ import annotations

import pytest

from tests.harness import texts

SECURITY = texts.PACKAGE.parent / "docs" / "security.md"


def documented() -> list[str]:
    """
    Return the messages in the table of refusals, in pieces without what is put into them.
    """
    section = SECURITY.read_text("utf-8").split("## Refusals")[1].split("\n## ")[0]
    table = [line.split("|")[2:4] for line in section.splitlines() if line[:1] == "|"]
    cells = [cell for row in table[2:] for cell in row]
    messages = [quoted for cell in cells for quoted in cell.split("`")[1::2]]
    pieces = [piece.strip(" :") for quoted in messages for piece in quoted.split("…")]
    # What comes of several texts put together is documented as one.
    parts = [part for piece in pieces for part in piece.split(": ")]
    return [part for part in parts if len(part) > 10 and not part.startswith("verify(")]


@pytest.mark.parametrize("piece", sorted(set(documented())))
def test_it_is_said_so(piece: str) -> None:
    """Each piece of a documented message is in a text of the code."""
    said = piece.removesuffix(" 20")
    assert any(said in each for each in texts.by_module().values())


def test_there_are_some() -> None:
    """The table of refusals is found."""
    assert len(set(documented())) > 15
