"""C{runc-cpictl config}: whether the daemon's configuration is right, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from grp import getgrgid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runc_cpi.ctl.operator import Operator, output_option

if TYPE_CHECKING:
    from runc_cpi.daemon.config import DaemonConfig
    from runc_cpi.daemon.config.keys import Section

# Which name networks in a shorter way, of one alone.
SHORT_FORM = ("cidr", "gateway", "bridge")
# How the file has what is kept in another form.
FORMS: Mapping[str, Callable[[Any], Any]] = {
    "socket_mode": lambda mode: f"{mode:04o}",
    "socket_group": lambda number: None if number is None else getgrgid(number).gr_name,
    "restart": lambda restarts: "on-failure" if restarts else "no",
    "ids": lambda ids: f"{ids[0]}-{ids[1]}",
    "lxcfs": lambda path: "off" if path is None else str(path),
    "root_disk_size": lambda size: size or 0,
}
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

    def print_yaml() -> None:
        import yaml

        click.echo(yaml.safe_dump(answer, sort_keys=False), nl=False)

    operator.show(answer, print_yaml)


def plain(config: DaemonConfig) -> dict[str, Any]:
    """Return a configuration that means the same, with all that is usual, less secrets."""
    told = _section(config)
    # Each network has these.
    for name in SHORT_FORM:
        told.pop(name)
    kind = config.network_type
    for name, key in config.keys().items():
        if key.only not in (None, kind) or (name == "allow_users" and config.tls):
            told.pop(name, None)
    return told


def _section(section: Section) -> dict[str, Any]:
    """Return the keys of a section that say something."""
    told = {
        name: _shown(name, getattr(section, key.field))
        for name, key in section.keys().items()
    }
    return {name: value for name, value in told.items() if value is not None}


def _shown(name: str, value: Any) -> Any:
    if name in FORMS:
        return FORMS[name](value)
    # A path of a file of it is no secret.
    if name in SECRETS and value.startswith(PEM):
        return HIDDEN
    if hasattr(value, "keys"):
        return _section(value)
    if isinstance(value, (tuple, frozenset)):
        return [_shown("", each) for each in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
