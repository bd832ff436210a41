"""C{runc-cpictl ping}, C{status}, C{version} and C{repair}."""

from __future__ import annotations

import platform
import subprocess

import click

from runc_cpi import __version__
from runc_cpi.ctl.operator import Operator, output_option
from runc_cpi.ctl.tables import print_facts
from runc_cpi.errors import CPIError
from runc_cpi.printable import printable


@click.command()
@output_option
@click.pass_obj
def ping(operator: Operator) -> None:
    """Say whether the daemon is there."""
    version = operator.ask("Ping")[b"version"].decode()
    operator.show({"version": version}, lambda: click.echo(f"runc-cpid {version}"))


@click.command()
@output_option
@click.pass_obj
def status(operator: Operator) -> None:
    """Count what there is, and what was deleted and is still being removed."""
    (counts,) = operator.ask_for("Status", "status")
    facts = {kind: str(count) for kind, count in counts.items()}
    operator.show({"status": counts}, lambda: print_facts(facts))


@click.command()
@output_option
@click.pass_obj
def version(operator: Operator) -> None:
    """Tell the versions of the tool, the daemon, the OCI runtime and the kernel."""
    told = {
        "runc-cpictl": __version__,
        "runc-cpid": _daemons(operator),
        "runtime": _runtimes(operator),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }
    operator.show(told, lambda: print_facts(told))


def _daemons(operator: Operator) -> str:
    try:
        return operator.ask("Ping")[b"version"].decode()
    except (CPIError, click.UsageError) as error:
        return f"unknown: {error}"


def _runtimes(operator: Operator) -> str:
    from runc_cpi.daemon.doctor.programs import told_version

    try:
        told = told_version(operator.config.runtime)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unknown: {error}"
    return told.partition("\n")[0]


@click.command()
@output_option
@click.pass_obj
def repair(operator: Operator) -> None:
    """Put right what a crash or a hand left amiss."""
    done, problems = operator.ask_for("Repair", "done", "problems")
    report = {"done": done, "problems": problems}
    operator.show(report, lambda: click.echo(repaired(done, problems)))


def repaired(done: list[str], problems: list[str]) -> str:
    """Say what was put right, and what could not be."""
    texts = [*done, *(f"problem: {text}" for text in problems)]
    summary = f"{len(done)} things put right, {len(problems)} problems left"
    return "\n".join([*(printable(text) for text in texts), summary])
