"""C{up}, C{upgrade}, C{stop} and C{start}."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from runc_cpi.ctl.director import told
from runc_cpi.ctl.director.director import Director, existing, kept_settings
from runc_cpi.ctl.director.directory import DEFAULT, StateDirectory
from runc_cpi.ctl.director.manifest import difference
from runc_cpi.ctl.director.settings import Settings
from runc_cpi.ctl.director.steps import Step, perform
from runc_cpi.ctl.director.up import LOG_ADVICE, Up
from runc_cpi.ctl.operator import Operator
from runc_cpi.printable import printable

COMMAND = "runc-cpictl director"
# Colours of the lines of a difference.
COLOURS = {"+": "green", "-": "red"}


def up(
    operator: Operator,
    directory: StateDirectory,
    options: Mapping[str, Any],
    *,
    dry_run: bool,
) -> None:
    """
    Make a director, or bring it up to date.

    @param dry_run: whether only to show what would be done.
    @raise click.ClickException: if a step fails.
    """
    settings = wanted_settings(directory, options)
    if dry_run:
        _show(operator, directory, settings)
        return
    directory.prepare()
    with directory.locked():
        director = Director(operator, directory, settings)
        _refuse_another_network(director)
        perform(Up(director).steps(), director.runner, f"{COMMAND} up")
    name = _command(directory)
    click.echo(f'eval "$({name} print-env)"\nbosh env')


def upgrade(
    operator: Operator, directory: StateDirectory, options: Mapping[str, Any], *, yes: bool
) -> None:
    """
    Show what would change, ask, and change it.

    @param yes: whether not to ask.
    @raise click.ClickException: if there is no director, or a step fails.
    """
    kept_settings(directory)
    settings = wanted_settings(directory, options)
    directory.prepare()
    with directory.locked():
        director = Director(operator, directory, settings)
        _refuse_another_network(director)
        lines = difference(director.applied() or "", director.shown)
        if not lines:
            click.echo("the manifest is as it was")
        for line in lines:
            click.secho(printable(line), fg=COLOURS.get(line[:1]))
        if lines and not yes:
            confirm("Change the director so?", "nothing is changed")
        perform(Up(director).steps(), director.runner, f"{COMMAND} upgrade")


def stop(operator: Operator, directory: StateDirectory) -> None:
    """Stop the director's jobs; all is kept."""
    director = existing(operator, directory)
    title = "stop the director's jobs"
    with directory.locked():
        step = Step("stop-env", title, lambda: _bosh_env(director, "stop-env"), LOG_ADVICE)
        perform([step], director.runner, f"{COMMAND} stop")


def start(operator: Operator, directory: StateDirectory) -> None:
    """Start the daemon, if it does not run, and the director's jobs."""
    director = existing(operator, directory)
    steps = Up(director)
    with directory.locked():
        perform(
            [
                steps.daemon_step(),
                steps.vm_step(),
                Step(
                    "start-env",
                    "start the director's jobs",
                    lambda: _bosh_env(director, "start-env"),
                    LOG_ADVICE,
                ),
                steps.director_step(),
            ],
            director.runner,
            f"{COMMAND} start",
        )


def wanted_settings(directory: StateDirectory, options: Mapping[str, Any]) -> Settings:
    """Return the settings that are kept, changed by the options that are given."""
    kept = directory.is_there and directory.is_ours
    settings = kept_settings(directory) if kept else Settings()
    return settings.with_options(options)


def confirm(question: str, otherwise: str) -> None:
    """
    Ask, and go on if the answer is yes.

    @param otherwise: what is said if it is not, or nobody can be asked.
    @raise click.ClickException: then.
    """
    if not sys.stdin.isatty():
        raise click.ClickException(f"{otherwise}: nobody can be asked here; give --yes")
    click.echo(f"{question} [y/N] ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise click.ClickException(otherwise)


def _show(operator: Operator, directory: StateDirectory, settings: Settings) -> None:
    """Print the manifest and the commands; what that takes is made elsewhere."""
    with tempfile.TemporaryDirectory(prefix="runc-cpi-director-") as elsewhere:
        place = StateDirectory(Path(elsewhere))
        place.prepare()
        # What was fetched before need not be fetched again.
        for path in (
            *directory.bin.glob("bosh"),
            *directory.path.glob("bosh-deployment-*"),
        ):
            (place.path / path.relative_to(directory.path)).symlink_to(path)
        director = Director(operator, place, settings, only_looks=True)
        here, there = str(place.path), str(directory.path)
        click.echo(director.shown.replace(here, there), nl=False)
        commands = [["create-env", *director.create_env_arguments()]]
        for name in told.names(settings):
            commands.append(told.arguments(name, director.manifest, director.complete))
        for command in commands:
            shown = shlex.join(map(str, [director.bosh.path, *command]))
            click.echo(shown.replace(here, there), err=True)


def _bosh_env(director: Director, command: str) -> str:
    director.run_applied(command)
    return str(director.environment.vm_cid())


def _refuse_another_network(director: Director) -> None:
    """
    A director's network and address stay: certificates and VMs have them.

    @raise click.UsageError: if it would change.
    """
    directory = director.directory
    if not directory.is_there or director.environment.vm_cid() is None:
        return
    now, then = kept_settings(directory), director.settings
    for option, before, after in (
        ("--cidr", now.cidr, then.cidr),
        ("--ip", now.address, then.address),
    ):
        if before != after:
            raise click.UsageError(
                f"{option}: {after}: the director has {before}; to change that, "
                "runc-cpictl director destroy comes first"
            )


def _command(directory: StateDirectory) -> str:
    argv = ["runc-cpictl", "director"]
    if str(directory.path) != DEFAULT:
        argv += ["--state-dir", str(directory.path)]
    return shlex.join(argv)
