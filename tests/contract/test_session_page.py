"""docs/session.md shows commands that C{runc-cpictl} has."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import runc_cpi
from runc_cpi.ctl.tool import tool

DOCS = Path(runc_cpi.__file__).parents[1] / "docs"
CID = re.compile(r"\b[a-z]+(?:-[0-9a-f]+){5}\b")
RECORDED = re.findall(
    r"^# runc-cpictl (.*)$", (DOCS / "session.md").read_text("utf-8"), re.M
)


def planned() -> Iterator[str]:
    """Return the commands that the script runs, in their order."""
    for node in ast.parse((DOCS / "session.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PARTS":
            for commands in ast.literal_eval(node.value).values():
                yield from commands


def parse(command: click.Command, words: list[str], parent: click.Context | None) -> None:
    """
    Parse a command line, and carry nothing out.

    @raise click.UsageError: if there is no such command or option.
    """
    ctx = command.make_context(command.name, words, parent)
    if isinstance(command, click.Group):
        # Click keeps what is left for the command in two parts.
        left = [*ctx._protected_args, *ctx.args]
        _, found, rest = command.resolve_command(ctx, left)
        assert found is not None
        parse(found, rest, ctx)


def test_it_was_recorded_by_the_script() -> None:
    """The page has the commands of the script, in its order."""
    assert RECORDED
    recorded = [CID.sub("CID", line) for line in RECORDED]
    assert recorded == [re.sub(r"\{\w+\}", "CID", line) for line in planned()]


@pytest.mark.parametrize("line", RECORDED)
def test_there_is_such_a_command(line: str) -> None:
    """The tool takes each command line."""
    parse(tool, shlex.split(line), None)


@pytest.mark.parametrize("line", ["vmz", "vm shew", "events --sort x"])
def test_others_are_found_out(line: str) -> None:
    """What the tool does not have is told."""
    with pytest.raises(click.UsageError):
        parse(tool, shlex.split(line), None)
