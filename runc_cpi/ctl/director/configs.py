"""The director's configs: what C{up} has told it, and what the operator has since."""

from __future__ import annotations

import json
import re
from typing import Any

import click
import yaml

from runc_cpi.ctl.director import told
from runc_cpi.ctl.director.director import Director
from runc_cpi.ctl.director.downloads import digest_text
from runc_cpi.ctl.director.running import CommandFailed

# What bosh prints a config with, by what it is called in L{told.TITLES}.
PRINTED = {
    "cloud-config": ("cloud-config",),
    "dns": ("runtime-config", "--name", "dns"),
    "cpi-config": ("cpi-config",),
}
_NONE = re.compile(r"\bno (cloud|runtime|cpi) config\b", re.IGNORECASE)


def tell(director: Director, name: str) -> str:
    """
    Tell the director a config, unless it has it, or the operator has another there.

    @param name: a key of L{PRINTED}.
    @return: what came of it.
    @raise CommandFailed: if bosh fails.
    """
    arguments = told.arguments(name, director.manifest, director.complete)
    wanted = _digest(director.bosh.interpolate(told.sources(arguments)))
    now = _now(director, name)
    if now == wanted:
        _remember(director, name, wanted)
        return "as it was"
    if now is not None and now != _remembered(director).get(name):
        return "yours; left as it is"
    director.tell(name, *arguments)
    _remember(director, name, wanted)
    return "told"


def _now(director: Director, name: str) -> str | None:
    """Return the digest of the config that the director has, or L{None} without one."""
    try:
        return _digest(director.ask(f"{name}-now", *PRINTED[name]))
    except CommandFailed as error:
        if any(_NONE.search(line) for line in error.lines):
            return None
        raise


def _digest(text: str) -> str:
    """Return the digest of what a document means, however it is written."""
    return digest_text(json.dumps(yaml.safe_load(text), sort_keys=True, default=str))


def _remembered(director: Director) -> dict[str, Any]:
    path = director.directory.told
    try:
        remembered: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise click.ClickException(f"{path}: {error}") from None
    return remembered


def _remember(director: Director, name: str, digest: str) -> None:
    remembered = _remembered(director)
    if remembered.get(name) != digest:
        text = json.dumps({**remembered, name: digest}, indent=1, sort_keys=True) + "\n"
        director.directory.write(director.directory.told, text)
