"""C{runc-cpictl doctor}: whether this host is fit, and what to type where it is not."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runc_cpi.ctl.operator import Operator, output_option
from runc_cpi.ctl.tables import print_table
from runc_cpi.errors import CPIError, DaemonSilent, DaemonUnreachable

if TYPE_CHECKING:
    from runc_cpi.daemon.doctor.finding import Finding, Patient

FAULTS_FOUND = 1


@click.command()
@output_option
@click.pass_obj
def doctor(operator: Operator) -> None:
    """
    Look whether this host is fit for VMs, and say what to type where it is not.

    It changes nothing, and needs no running daemon: it goes by the daemon's configuration.
    It ends with 1 if there is a fault.
    """
    from runc_cpi.daemon.doctor.examination import QUICK, THOROUGH, examine
    from runc_cpi.daemon.doctor.finding import FAULT

    findings = []
    if (broken := _configuration(operator)) is not None:
        findings.append(broken)
    patient, served = _daemon(operator)
    findings += [served, *examine(patient, (*THOROUGH, *QUICK)), *director()]
    answer = {"findings": [finding.to_json() for finding in findings]}
    operator.show(answer, lambda: _print(findings))
    if any(finding.state == FAULT for finding in findings):
        sys.exit(FAULTS_FOUND)


def _configuration(operator: Operator) -> Finding | None:
    """Find what is wrong with the configuration; the rest then goes by all defaults."""
    from runc_cpi.daemon.config import DaemonConfig
    from runc_cpi.daemon.doctor.finding import fault, unseen
    from runc_cpi.daemon.doctor.privileges import is_hidden

    try:
        assert operator.config is not None
    except click.UsageError as error:
        operator.config = DaemonConfig.parse(None)
        if is_hidden(operator.config_file):
            why = f"you may not read {operator.config_file}: what follows goes by defaults"
            return unseen("configuration", why)
        advice = "mend it; what is said below goes by a configuration that is all defaults"
        return fault("configuration", error.message, advice)
    return None


def _daemon(operator: Operator) -> tuple[Patient, Finding]:
    """See whether the daemon is there, and lets us ask; a host can be fit without."""
    from runc_cpi.daemon.doctor import presence
    from runc_cpi.daemon.doctor.finding import Patient, fault, fine, warning

    there = Patient(config=operator.config, is_served=True)
    try:
        version = operator.ask("Ping")[b"version"].decode()
    except (CPIError, click.UsageError) as error:
        text = error.message if isinstance(error, click.UsageError) else str(error)
        holder = presence.holder(there)
        if isinstance(error, DaemonSilent):
            advice = "restart it: VMs go on running meanwhile"
            return replace(there, is_refused=True), fault("daemon", text, advice)
        # Who could not even ask knows that there is none if he may see who has the lock.
        is_told = isinstance(error, DaemonUnreachable) or (
            isinstance(error, click.UsageError) and os.geteuid() == 0
        )
        if is_told and not holder:
            gone = replace(there, is_served=False)
            return gone, warning("daemon", text, "start it: systemctl start runc-cpid")
        seen = f"{text}; it runs as {holder}" if holder else text
        advice = "it need not be ended: docs/security.md says who may call it"
        return replace(there, is_refused=True), warning("daemon", seen, advice)
    return there, fine("daemon", f"runc-cpid {version} is there")


def director() -> list[Finding]:
    """See when the first certificates end of those that a director here has."""
    from runc_cpi.ctl.director import renewal
    from runc_cpi.ctl.director.director import kept_settings
    from runc_cpi.ctl.director.directory import DEFAULT, StateDirectory
    from runc_cpi.ctl.director.manifest import given
    from runc_cpi.daemon.doctor.certificates import judge
    from runc_cpi.daemon.doctor.finding import fault

    directory = StateDirectory(Path(DEFAULT))
    try:
        credentials = renewal.read(directory)
        files = kept_settings(directory).vars_files if directory.is_there else []
        endings = renewal.first_ends(credentials, given(files))
    except PermissionError:
        return []  # only root can know
    except click.ClickException as error:
        return [fault("director", error.message, "restore it")]
    except OSError as error:
        return [fault("director", f"{error.filename}: {error.strerror}", "restore it")]
    now = datetime.now(timezone.utc)
    return [
        judge(f"director: {ending.name}", ending.end, now, ending.advice)
        for ending in endings
    ]


def _print(findings: Sequence[Finding]) -> None:
    rows = [(each.state, each.check, each.seen) for each in findings]
    print_table(("STATE", "CHECK", "SEEN"), rows)
    advised = [each for each in findings if each.advice]
    if advised:
        click.echo()
        print_table(("TO DO", ""), [(each.check, each.advice) for each in advised])
