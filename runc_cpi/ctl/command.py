"""What a command of C{runc-cpictl} is: a command line of its own, and what it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from twisted.protocols import amp
from twisted.python import usage

from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.printable import printable

# What the daemon answers, or what C{--json} prints.
Answer = dict[str, Any]


class Command(usage.Options):
    """
    A command with its options and arguments, which L{usage.Options} keeps as a mapping.

    @cvar name: what the operator types.
    @cvar summary: what C{runc-cpictl --help} says about it.
    """

    name: ClassVar[str]
    summary: ClassVar[str]


class LocalCommand(Command):
    """A command that works on this host alone, and needs no configuration."""

    def run(self) -> None:
        """Do it."""
        raise NotImplementedError


class HostCommand(Command):
    """A command that works on the daemon's files, whether the daemon runs or not."""

    def run(self, config: DaemonConfig) -> None:
        """
        Do it.

        @param config: the daemon's.
        """
        raise NotImplementedError


class DaemonCommand(Command):
    """A command that the daemon carries out."""

    async def ask(self, peer: amp.AMP) -> Answer:
        """
        Have the daemon do it.

        @param peer: the connection to the daemon.
        @return: what C{--json} prints.
        @raise CPIError: if the daemon refuses, or something speaks against it.
        """
        raise NotImplementedError

    def text(self, answer: Answer) -> str:
        """Format an answer of L{ask} for an operator."""
        raise NotImplementedError


class ListCommand(DaemonCommand):
    """
    A command that prints a table of all there is of something.

    @cvar listing: asks the daemon for them.
    @cvar key: where they are in its answer.
    @cvar headings: of the table.
    """

    listing: ClassVar[type[amp.Command]]
    key: ClassVar[str]
    headings: ClassVar[Sequence[str]]

    async def ask(self, peer: amp.AMP) -> Answer:
        """Ask for all of them."""
        answer: Answer = await peer.callRemote(self.listing)
        return answer

    def text(self, answer: Answer) -> str:
        """Format them, a row each."""
        return self.table(answer[self.key])

    @classmethod
    def table(cls, things: Sequence[Answer]) -> str:
        """Format some of them, a row each."""
        return table(cls.headings, [cls.row(thing) for thing in things])

    @staticmethod
    def row(thing: Answer) -> Sequence[str]:
        """Return the cells for one of them."""
        raise NotImplementedError


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows in columns as wide as they need to be; no cell can forge a row."""
    lines = [list(headings), *([printable(cell, "") for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    template = "  ".join(f"{{:{width}}}" for width in widths)
    return "\n".join(template.format(*line).rstrip() for line in lines)
