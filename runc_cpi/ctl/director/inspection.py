"""C{status}, C{env}, C{ssh} and C{logs}: a director as it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn

import click

from runc_cpi.ctl.director import renewal
from runc_cpi.ctl.director.director import Director, existing
from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.environment import CLIENT, JUMPBOX
from runc_cpi.ctl.director.service import NAME, ProcessService
from runc_cpi.ctl.director.settings import PUBLISHED, SSH
from runc_cpi.ctl.operator import Operator
from runc_cpi.errors import CPIError
from runc_cpi.printable import printable

# What is up or down.
UP = ("daemon", "vm", "director")
# What the jobs in a VM of BOSH log.
JOBS_LOGS = "/var/vcap/sys/log"
# Prints the end of all of these; with -F it goes on, also with files that are made anew.
TAIL = f'exec tail "$@" $(find {JOBS_LOGS} -name "*.log" -size +0)'


def show_status(operator: Operator, directory: StateDirectory) -> None:
    """
    Print what is up.

    @raise click.exceptions.Exit: with a status that is not 0, if anything is not.
    """
    director = existing(operator, directory)
    found = _status(director)

    def shown() -> None:
        for key, value in found.items():
            absent = "down" if key in UP else "none"
            click.echo(f"{key:14}{printable(str(value or absent))}")

    operator.show(found, shown)
    if not all(found[key] for key in UP):
        raise click.exceptions.Exit(1)


def _status(director: Director) -> dict[str, Any]:
    version = director.daemon_version()
    vm_cid = director.environment.vm_cid()
    running = vm_cid if version and _runs(director) else None
    answer = None
    if running:
        try:
            answer = director.answer()
        except click.ClickException:
            answer = None
    return {
        "name": director.settings.name,
        "daemon": f"{NAME} {version}" if version else None,
        "vm": running,
        "director": answer,
        "url": director.environment.url,
        "address": director.settings.address,
        "features": ",".join(director.settings.features),
        "certificates": _certificates(director),
        "directory": str(director.directory.path),
    }


def _certificates(director: Director) -> str:
    """Say when those of C{creds.yml} end, and what to do if that is soon."""
    credentials = renewal.read(director.directory)
    return renewal.told(credentials, datetime.now(timezone.utc), director.given())


def _runs(director: Director) -> bool:
    try:
        return bool(director.vm_runs())
    except CPIError:
        return False


def show_environment(operator: Operator, directory: StateDirectory) -> None:
    """Print how the director is reached, without a secret."""
    director = existing(operator, directory)
    environment = director.environment
    variables = environment.variables()
    found = {
        "url": environment.url,
        "client": CLIENT,
        "proxy": variables.get("BOSH_ALL_PROXY"),
        "address": director.settings.address,
        "network": director.settings.cidr,
        "credentials": str(directory.credentials),
        "state": str(directory.state),
    }

    def shown() -> None:
        for key, value in found.items():
            click.echo(f"{key:14}{value or 'none'}")

    operator.show(found, shown)


def become_ssh(
    operator: Operator, directory: StateDirectory, argv: Sequence[str]
) -> NoReturn:
    """
    Become a shell in the director's VM: by SSH if it has a jumpbox, else by the runtime.

    @raise click.ClickException: if there is no VM.
    """
    director = existing(operator, directory)
    if director.environment.has_jumpbox:
        director.environment.write_key()
        known = directory.made / "known_hosts"
        _become(
            [
                *("ssh", "-i", str(directory.jumpbox_key), "-p", str(SSH)),
                *("-o", f"UserKnownHostsFile={known}", "-o", "IdentitiesOnly=yes"),
                # The VM gets another key whenever it is made anew.
                *("-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"),
                f"{JUMPBOX}@{PUBLISHED}",
                *argv,
            ]
        )
    _become([*_inside(director), *(argv or ("/bin/sh",))])


def become_logs(
    operator: Operator,
    directory: StateDirectory,
    lines: int,
    *,
    follow: bool,
    daemon: bool,
) -> NoReturn:
    """
    Become what prints the end of logs.

    @param lines: how many of each.
    @param follow: whether to go on with what is logged.
    @param daemon: whether the daemon's log is meant, and not the jobs'.
    """
    director = existing(operator, directory)
    options = ["-n", str(lines), *(["-F"] if follow else [])]
    if not daemon:
        _become([*_inside(director, tty=False), "/bin/sh", "-c", TAIL, "tail", *options])
    if isinstance(director.service, ProcessService):
        _become(["tail", *options, str(directory.daemon_log)])
    _become(["journalctl", "--no-pager", "-u", NAME, "-n", str(lines)] + ["-f"] * follow)


def _inside(director: Director, *, tty: bool = True) -> list[str]:
    vm_cid = director.environment.vm_cid()
    if vm_cid is None:
        raise click.ClickException("there is no VM of the director; director up makes it")
    config = director.config
    argv = [config.runtime, "--root", str(config.work_dir / "runtime"), "exec"]
    if tty and sys.stdin.isatty() and sys.stdout.isatty():
        argv.append("--tty")
    return [*argv, vm_cid]


def _become(argv: Sequence[str]) -> NoReturn:
    try:
        os.execvp(argv[0], list(argv))
    except OSError as error:
        raise click.ClickException(f"{Path(argv[0]).name}: {error.strerror}") from None
