"""
Writes docs/cli.md from the command line of runc-cpictl.

C{python docs/cli.py} writes it, C{python docs/cli.py --check} only says whether it is up to
date.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import generated

from runc_cpi.ctl.tool import tool

PAGE = Path(__file__).resolve().with_name("cli.md")
NAME = "runc-cpictl"
HEAD = f"""# The command line of {NAME}

What each command says with `--help`. [operations.md](operations.md#see-what-is-there) shows
how they are used.
"""
WIDTH = 96  # columns


def helps(command: click.Command, parent: click.Context | None) -> Iterator[str]:
    """Return what C{--help} prints of a command and all of its commands, as Markdown."""
    name = NAME if parent is None else command.name
    settings = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    ctx = click.Context(command, parent, name, **{**settings, **command.context_settings})
    yield f"## `{ctx.command_path}`\n\n```text\n{command.get_help(ctx)}\n```\n"
    if isinstance(command, click.Group):
        for each in command.list_commands(ctx):
            found = command.get_command(ctx, each)
            assert found is not None
            yield from helps(found, ctx)


def main() -> None:
    """Write the page, or check it."""
    generated.keep(PAGE, "\n".join([HEAD, *helps(tool, None)]), __file__)


if __name__ == "__main__":
    main()
