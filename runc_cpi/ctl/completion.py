"""C{runc-cpictl completion}: what has a shell complete the command line."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """
    Print what has a shell complete commands and options.

    For bash, write it to /etc/bash_completion.d/runc-cpictl.
    """
    known = get_completion_class(shell)
    assert known is not None, shell
    root = ctx.find_root()
    script = known(root.command, {}, "runc-cpictl", "_RUNC_CPICTL_COMPLETE")
    click.echo(script.source())
