"""Lists of things, as tables for people."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from runc_cpi.ctl.operator import Operator, output_option
from runc_cpi.errors import CPIError
from runc_cpi.printable import printable

if TYPE_CHECKING:
    from rich.table import Table

WIDE = 110  # columns
# Of a state that one should look at, where a terminal has colours and NO_COLOR is not set.
COLOURS = {
    "fault": "bold red",
    "cannot be booted": "bold red",
    "set aside": "bold red",
    **dict.fromkeys(("warning", "stopped", "ended", "reboot was cut off"), "yellow"),
}
# One of what the daemon has, as its answer describes it.
Thing = Mapping[str, Any]


def no_such(noun: str, cid: str) -> CPIError:
    """Return the error that there is no such thing, and what lists those that there are."""
    return CPIError(f"there is no {noun} {cid}; runc-cpictl {noun}s lists them")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """
    All there is of something.

    @ivar asking: the command of AMP that tells it.
    @ivar key: where it is in the answer.
    @ivar headings: of the table.
    @ivar row: returns the cells for one.
    """

    asking: str
    key: str
    headings: Sequence[str]
    row: Callable[[Thing], Sequence[str]]

    def ask(self, operator: Operator) -> list[Thing]:
        """
        Have the daemon tell what there is.

        @raise CPIError: if it refuses, or cannot be reached.
        """
        (things,) = operator.ask_for(self.asking, self.key)
        return list(things)

    def print(self, things: Sequence[Thing]) -> None:
        """Print a table of some of them."""
        print_table(self.headings, [self.row(thing) for thing in things])

    def command(self, help_text: str) -> click.Command:
        """Return the command that lists them."""

        @click.command(self.key, help=help_text)
        @output_option
        @click.pass_obj
        def listed(operator: Operator) -> None:
            things = self.ask(operator)
            operator.show({self.key: things}, lambda: self.print(things))

        return listed


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """
    Print rows in columns; no cell can forge a row, or act on a terminal.

    On a terminal the table fits its width.  Elsewhere each row is one line.

    @param headings: of the columns; empty ones are not printed.
    """
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console(highlight=False)
        console.print(table(headings, rows, console.width))
    else:
        cells = [[printable(cell, "") for cell in row] for row in rows]
        click.echo(plain_table(headings, cells))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Table:
    """
    Return a table that fits a terminal; no cell can act on that.

    @param width: of the terminal, in columns.
    """
    from rich.table import Table
    from rich.text import Text

    named = any(headings)
    found = Table(
        *headings, box=None, pad_edge=False, header_style="bold", show_header=named
    )
    # What is in the first column is what one copies.
    found.columns[0].no_wrap = width >= WIDE
    for row in rows:
        found.add_row(
            *(
                Text(printable(cell, ""), _style(heading, cell), overflow="fold")
                for heading, cell in zip(headings, row, strict=True)
            )
        )
    return found


def _style(heading: str, cell: str) -> str:
    return COLOURS.get(cell.partition(",")[0], "") if heading == "STATE" else ""


def print_facts(facts: Mapping[str, str]) -> None:
    """Print what is known of one thing, each with its name."""
    print_table(("", ""), [(f"{name}:", value) for name, value in facts.items()])


def plain_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows in columns as wide as they need to be."""
    lines = [*([list(headings)] if any(headings) else []), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    template = "  ".join(f"{{:{width}}}" for width in widths)
    return "\n".join(template.format(*line).rstrip() for line in lines)
