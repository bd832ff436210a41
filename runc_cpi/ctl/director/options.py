"""The options of C{up}, C{upgrade} and C{fetch}: what a director is to be like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from runc_cpi.ctl.director.settings import FEATURES, NONE

Function = TypeVar("Function", bound=Callable[..., Any])


class Features(click.ParamType[Any]):
    """What a director has besides, with commas between."""

    name = "feature,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the features, or end with a usage error."""
        names = [name.strip() for name in str(value).split(",")]
        if names == [NONE]:
            return (NONE,)
        for name in names:
            if name not in FEATURES:
                known = ", ".join(FEATURES)
                self.fail(f"{name!r} is unknown; there are {known}, or none", param, ctx)
        return tuple(dict.fromkeys(names))


_FEATURES = click.option(
    "--with",
    "features",
    type=Features(),
    help="What it has besides: uaa, credhub, jumpbox, dns, or none.  "
    "[default: jumpbox,dns]",
)
_BOSH_DEPLOYMENT = click.option(
    "--bosh-deployment",
    metavar="DIR|URL@REF",
    help="Where bosh-deployment is.  [default: a commit that was tried]",
)
_BOSH_CLI = click.option(
    "--bosh-cli",
    metavar="FILE",
    help="The bosh CLI.  [default: the one on the PATH, or else it is downloaded]",
)
_STEMCELL = click.option(
    "--stemcell",
    metavar="FILE|URL",
    help="Another stemcell than that of operations/runc-cpi.yml.",
)
_STEMCELL_SHA1 = click.option(
    "--stemcell-sha1", metavar="DIGEST", help="The digest of the URL's stemcell."
)
_FILES = (
    click.option(
        "--ops", multiple=True, metavar="FILE", help="A further ops-file; repeatable."
    ),
    click.option(
        "--vars", multiple=True, metavar="FILE", help="A file of variables; repeatable."
    ),
    click.option("--manifest", metavar="FILE", help="What to use in place of bosh.yml."),
)
_NETWORK = (
    click.option("--name", help="The director's name.  [default: runc]"),
    click.option(
        "--cidr",
        metavar="NETWORK",
        help="The network of its VM, which no other of this host may overlap with.  "
        "[default: 10.0.0.0/16]",
    ),
    click.option(
        "--ip", metavar="ADDRESS", help="Its address there.  [default: the fourth]"
    ),
    click.option(
        "--disk-size",
        type=int,
        metavar="MIB",
        help="The size of its persistent disk.  [default: 16384]",
    ),
    click.option("--cpi-config", metavar="FILE", help="A CPI config to give to it."),
)
_RUNNING = (
    click.option(
        "--offline",
        metavar="DIR",
        help="Download nothing: take what director fetch has put there.",
    ),
    click.option(
        "--systemd/--no-systemd",
        default=None,
        help="Whether systemd runs the daemon.  [default: where this host has it]",
    ),
)


def wanted(function: Function) -> Function:
    """Give a command all options about what a director is to be like."""
    options = (_FEATURES, *_NETWORK, _STEMCELL, _STEMCELL_SHA1, *_FILES)
    return _give(function, *options, _BOSH_DEPLOYMENT, _BOSH_CLI, *_RUNNING)


def fetched(function: Function) -> Function:
    """Give a command the options about what a director needs from elsewhere."""
    options = (_FEATURES, _STEMCELL, _STEMCELL_SHA1, *_FILES, _BOSH_DEPLOYMENT, _BOSH_CLI)
    return _give(function, *options)


def _give(function: Function, *options: Callable[[Function], Function]) -> Function:
    for option in reversed(options):
        function = option(function)
    return function
