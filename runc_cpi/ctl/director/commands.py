"""The commands of C{runc-cpictl director}."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from runc_cpi.ctl.director.directory import DEFAULT, StateDirectory
from runc_cpi.ctl.director.options import fetched, wanted
from runc_cpi.ctl.operator import Operator, output_option

KEY = "runc_cpi.ctl.director.directory"
COMMAND = "runc-cpictl director"


@click.group()
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    default=DEFAULT,
    show_default=True,
    help="Where its state, variables and credentials are.",
)
@click.pass_context
def director(ctx: click.Context, state_dir: Path) -> None:
    """Make a BOSH director on this host, and look after it."""
    if sys.platform != "linux":
        raise click.ClickException(
            "runc-cpictl director runs on Linux, where its VMs are; docs/desktops.md says "
            "how to have that on a Mac"
        )
    ctx.meta[KEY] = StateDirectory(state_dir)


@director.command()
@wanted
@click.option(
    "--dry-run", is_flag=True, help="Show the manifest and the commands, and do nothing."
)
@click.pass_context
def up(ctx: click.Context, /, *, dry_run: bool, **options: Any) -> None:
    """
    Make a director, or bring it up to date.

    Each step does only what is not done yet.  After a failure, or with other options, run
    it again.  Options are kept: they hold for all commands until others are given.
    """
    from runc_cpi.ctl.director import making

    making.up(_operator(ctx), _directory(ctx), options, dry_run=dry_run)


@director.command()
@wanted
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def upgrade(ctx: click.Context, /, *, yes: bool, **options: Any) -> None:
    """
    Show what would change in the director's manifest, ask, and change it.

    What changes comes from the options, or from a new version of this program, which has
    another bosh-deployment and other releases.
    """
    from runc_cpi.ctl.director import making

    making.upgrade(_operator(ctx), _directory(ctx), options, yes=yes)


@director.command()
@output_option
@click.pass_context
def status(ctx: click.Context) -> None:
    """Say whether the daemon, the director's VM and the director are up."""
    from runc_cpi.ctl.director import inspection

    inspection.show_status(_operator(ctx), _directory(ctx))


@director.command()
@output_option
@click.pass_context
def env(ctx: click.Context) -> None:
    """Show how the director is reached, without its password."""
    from runc_cpi.ctl.director import inspection

    inspection.show_environment(_operator(ctx), _directory(ctx))


@director.command("print-env")
@click.option("--no-proxy", is_flag=True, help="Without the way to other VMs by SSH.")
@click.option(
    "--key", metavar="FILE", help="Where the shell's machine has a copy of the SSH key."
)
@click.pass_context
def print_env(ctx: click.Context, *, no_proxy: bool, key: str | None) -> None:
    """
    Print what a shell evaluates to have bosh reach the director.

    That is: eval "$(runc-cpictl director print-env)"
    """
    from runc_cpi.ctl.director.director import existing

    environment = existing(_operator(ctx), _directory(ctx)).environment
    click.echo(environment.exports(proxy=not no_proxy, key=key))


@director.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.argument("argv", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def ssh(ctx: click.Context, argv: tuple[str, ...]) -> None:
    """Open a shell in the director's VM, or run a command there."""
    from runc_cpi.ctl.director import inspection

    inspection.become_ssh(_operator(ctx), _directory(ctx), argv)


@director.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what is logged.")
@click.option(
    "-n", "--lines", type=click.IntRange(0, 100_000), default=100, show_default=True
)
@click.option("--daemon", is_flag=True, help="Show the daemon's log, and not the jobs'.")
@click.pass_context
def logs(ctx: click.Context, *, follow: bool, lines: int, daemon: bool) -> None:
    """Print what the jobs in the director's VM have logged last."""
    from runc_cpi.ctl.director import inspection

    place = _operator(ctx), _directory(ctx)
    inspection.become_logs(*place, lines, follow=follow, daemon=daemon)


@director.command()
@click.pass_context
def stop(ctx: click.Context) -> None:
    """
    Stop the director's jobs.

    Its VM, its data and all deployments stay as they are.
    """
    from runc_cpi.ctl.director import making

    making.stop(_operator(ctx), _directory(ctx))


@director.command()
@click.pass_context
def start(ctx: click.Context) -> None:
    """Start the daemon and the director's jobs again."""
    from runc_cpi.ctl.director import making

    making.start(_operator(ctx), _directory(ctx))


@director.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "-f",
    "--force",
    is_flag=True,
    help="Delete also if the director does not answer, or bosh or the daemon fails.",
)
@click.pass_context
def destroy(ctx: click.Context, *, yes: bool, force: bool) -> None:
    """Delete all deployments, the director, the daemon's data, and all that up has made."""
    from runc_cpi.ctl.director import removal

    removal.destroy(_operator(ctx), _directory(ctx), yes=yes, force=force)


@director.command()
@click.argument("directory", type=click.Path(path_type=Path))
@fetched
@click.pass_context
def fetch(ctx: click.Context, /, directory: Path, **options: Any) -> None:
    """
    Download all that a director takes into DIRECTORY, for up --offline DIRECTORY.

    These are the bosh CLI, bosh-deployment, the releases and the stemcell, each with its
    checksum.  What is there already stays.
    """
    from runc_cpi.ctl.director import fetching

    fetching.fetch(directory, options)


def _operator(ctx: click.Context) -> Operator:
    return ctx.ensure_object(Operator)


def _directory(ctx: click.Context) -> StateDirectory:
    if os.geteuid() != 0:
        raise click.ClickException("runc-cpictl director must be run as root")
    directory: StateDirectory = ctx.meta[KEY]
    return directory
