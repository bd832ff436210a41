"""C{runc-cpictl config}: whether the daemon's configuration is right, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runc_cpi.ctl.operator import Operator, output_option

SECRETS = {"private_key"}
HIDDEN = "(not shown)"
PEM = "-----BEGIN "


@click.group()
def config() -> None:
    """Check the daemon's configuration, or show it."""


@config.command()
@click.argument("file", required=False)
@output_option
@click.pass_obj
def check(operator: Operator, file: str | None) -> None:
    """
    Say whether a configuration is right, before the daemon starts with it.

    FILE is the one that --config names, if it is not given.  It ends with 2 if the
    configuration is wrong.
    """
    operator.config_file = file or operator.config_file
    assert operator.config is not None
    name = operator.config_file
    there = "is right" if Path(name).exists() else "is not there, and all is as usual"
    operator.show({"file": name, "ok": True}, lambda: click.echo(f"{name} {there}"))


@config.command()
@output_option
@click.pass_obj
def show(operator: Operator) -> None:
    """Show all that the configuration says, and what is usual where it says nothing."""
    answer = plain(operator.config)
    assert isinstance(answer, dict)

    def print_yaml() -> None:
        import yaml

        click.echo(yaml.safe_dump(answer, sort_keys=False), nl=False)

    operator.show(answer, print_yaml)


def plain(value: Any) -> Any:
    """Return a value of the configuration as JSON and YAML have it, without secrets."""
    from runc_cpi.daemon.config.keys import Section

    if isinstance(value, Section):
        return {
            name: _shown(name, getattr(value, key.field))
            for name, key in value.keys().items()
        }
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(plain, value))
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _shown(name: str, value: Any) -> Any:
    # A path of a file of it is no secret.
    if name in SECRETS and isinstance(value, str) and value.startswith(PEM):
        return HIDDEN
    return plain(value)
