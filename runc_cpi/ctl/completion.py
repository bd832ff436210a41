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

    Write it to /etc/bash_completion.d/runc-cpictl for bash, to _runc-cpictl in a directory
    of $fpath for zsh, and to ~/.config/fish/completions/runc-cpictl.fish for fish.
    """
    known = get_completion_class(shell)
    assert known is not None, shell
    root = ctx.find_root()
    script = known(root.command, {}, "runc-cpictl", "_RUNC_CPICTL_COMPLETE")
    click.echo(script.source())
