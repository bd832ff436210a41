"""
Writes docs/troubleshooting.md: all messages that the other pages explain, by who says them.

C{python docs/troubleshooting.py} writes it from the tables of those pages, with C{--check}
it only says whether it is up to date.  A message must be in a text of the code, as it is
quoted, or be known here as another program's.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import generated

from tests.harness import texts

DOCS = ROOT / "docs"
PAGE = DOCS / "troubleshooting.md"
HEAD = """# Troubleshooting by message

All messages that the other pages explain, in the order of the alphabet: look for a part of
yours without names and numbers. `…` stands for what differs. Where several programs can say
it, or none does, nobody is named.
[operations.md](operations.md#why-a-vm-does-not-run) says why a VM does not run, and
[reliability.md](reliability.md) what a crash leaves.
"""


@dataclass(frozen=True)
class Table:
    """
    A table that explains messages.

    @ivar page: the page that has it.
    @ivar heading: what it is under.
    @ivar messages: its columns with messages.
    @ivar answer: its column with what to do, or L{None} if the page is better read there.
    """

    page: str
    heading: str
    messages: tuple[int, ...]
    answer: int | None

    @property
    def link(self) -> str:
        """Where it is."""
        return f"{self.page}#{self.heading.lower().replace(' ', '-')}"

    def rows(self) -> Iterator[list[str]]:
        """Return the cells of each row."""
        text = (DOCS / self.page).read_text("utf-8")
        section = text.split(f"## {self.heading}\n")[1].split("\n## ")[0]
        lines = [line for line in section.splitlines() if line.startswith("|")]
        for line in lines[2:]:
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]

    def told(self, row: list[str]) -> list[str]:
        """Return the messages of a row; one by one if it is better read there."""
        cells = [row[column] for column in self.messages]
        if self.answer is not None:
            return [cell for cell in cells if cell]
        return [
            f"`{each}`" for cell in cells for each in quoted(cell) if pieces(f"`{each}`")
        ]


TABLES = (
    Table("operations.md", "When something is wrong", (0,), 1),
    Table("bosh.md", "When something goes wrong", (0,), 1),
    Table("director.md", "When a step fails", (1,), 2),
    Table("security.md", "Refusals", (1, 2), None),
)
# Beginnings of what other programs say, and which these are.
OTHERS = {
    "executable file not found": "the bosh CLI",
    "Expected to find variables": "the bosh CLI",
    "The bosh cli requires": "the bosh CLI",
    "Post ": "the bosh CLI",
    "Release version": "the director",
    "bosh clean-up": "the director",
    "AZ '": "the director",
    "unable to apply caps": "runc in a VM",
    "unable to setup cgroups": "runc in a VM",
    "No space left on device": "the kernel",
    "Read-only file system": "the kernel",
}
# Parts of our messages that are the kernel's or TLS's, or too short to be looked for.
SHORT = 10
NOT_OURS = {"Connection refused", "Network is unreachable"}
# What is put into messages, as the pages have examples of it.
EXAMPLE = re.compile(r"…|(?<!\w)\d[\d.:]*(?!\w)|\b(?:vm|disk|stemcell)-(?=…)|: ")
PROGRAMS = {"cpi": "runc-cpi", "ctl": "runc-cpictl", "daemon": "runc-cpid"}
MANY = 2
SCRIPTS = ("setup", "install", "bosh-release/packages", "bosh-release/jobs")


def sources() -> dict[Path, str]:
    """Return the texts of each file that can say something."""
    scripts = (ROOT / "operations" / name for name in SCRIPTS)
    files = (each for script in scripts for each in (script, *script.rglob("*")))
    plain = {path: path.read_text("utf-8") for path in files if path.is_file()}
    return {**texts.by_module(), **plain}


def quoted(cell: str) -> list[str]:
    """Return the messages that a cell quotes."""
    return [text for text in cell.split("`")[1::2] if " " in text]


def pieces(cell: str) -> list[str]:
    """Return what the code must have of the messages in a cell."""
    parts = [part.strip(" :;,.'") for text in quoted(cell) for part in EXAMPLE.split(text)]
    return [part for part in parts if len(part) > SHORT and part not in NOT_OURS]


def halves(piece: str) -> Iterator[tuple[str, str]]:
    """Return the ways to cut a piece between words, as it may be put together of two."""
    words = piece.split()
    for number in range(1, len(words)):
        yield " ".join(words[:number]), " ".join(words[number:])


def holders(piece: str, known: dict[Path, str]) -> set[Path]:
    """Return the files that say a piece, or the longer half of it if it is of two."""
    whole = {path for path, text in known.items() if piece in text}
    if whole:
        return whole
    for pair in halves(piece):
        longer, other = sorted(pair, key=len, reverse=True)
        found = {path for path, text in known.items() if longer in text}
        if found and len(longer) > SHORT and any(other in text for text in known.values()):
            return found
    return set()


def speaker(cell: str, known: dict[Path, str]) -> str:
    """
    Return who says the messages of a cell, as Markdown.

    @raise SystemExit: if nobody does.
    """
    for beginning, who in OTHERS.items():
        if any(text.startswith(beginning) for text in quoted(cell)):
            return who
    said: dict[Path, int] = {}
    for piece in pieces(cell):
        found = holders(piece, known)
        if not found:
            raise SystemExit(f"{piece!r} is in no text of the code, but documented: {cell}")
        for path in found:
            said[path] = said.get(path, 0) + 1
    best = sorted(path for path, count in said.items() if count == max(said.values()))
    names = [path.relative_to(ROOT) for path in best]
    who = list(dict.fromkeys(map(program, names)))
    links = [f"[{name.name}](../{name})" for name in names]
    if len(names) <= MANY:
        return ", ".join([*who, *links])
    return ", ".join(who) if len(who) <= MANY else ""


def program(name: Path) -> str:
    """Return the program that a file of the project belongs to, as Markdown."""
    if name.parts[:2] == ("operations", "bosh-release"):
        return "the release"
    if name.parts[0] == "operations":
        return f"`{name}`"
    return f"`{PROGRAMS.get(name.parts[1], 'runc-cpid')}`"


def entries() -> list[tuple[str, str, str, str]]:
    """Return each message, who says it, what to do, and where that is from."""
    known, found = sources(), {}
    for table in TABLES:
        for row in table.rows():
            for message in table.told(row):
                answer = "see there" if table.answer is None else row[table.answer]
                answer = answer.replace("](#", f"]({table.page}#")
                who = speaker(message, known) if pieces(message) else ""
                found.setdefault((message, table.page), (message, who, answer, table.link))
    return list(found.values())


def order(entry: tuple[str, str, str, str]) -> str:
    """Return a key to sort by: the letters of the message."""
    return re.sub(r"[^a-z ]", "", entry[0].lower()).strip()


def page() -> str:
    """Return the page."""
    lines = [HEAD, "| message | said by | what to do | from |", "|---|---|---|---|"]
    for message, who, answer, link in sorted(entries(), key=order):
        source = f"[{link.partition('.')[0]}]({link})"
        lines.append(f"| {message} | {who} | {answer} | {source} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page, or check it."""
    generated.keep(PAGE, page(), __file__)


if __name__ == "__main__":
    main()
