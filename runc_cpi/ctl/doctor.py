"""C{runc-cpictl doctor}: whether this host is fit, and what to type where it is not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from runc_cpi.ctl.operator import Operator, output_option
from runc_cpi.ctl.tables import print_table
from runc_cpi.errors import CPIError, DaemonUnreachable

if TYPE_CHECKING:
    from runc_cpi.daemon.doctor.finding import Finding

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
    from runc_cpi.daemon.doctor.examination import ASKED_FOR, AT_START, examine
    from runc_cpi.daemon.doctor.finding import FAULT, Patient

    served = _daemon(operator)
    patient = Patient(config=operator.config, is_served=served.state != FAULT)
    findings = [served, *examine(patient, (*ASKED_FOR, *AT_START))]
    answer = {"findings": [finding.to_json() for finding in findings]}
    operator.show(answer, lambda: _print(findings))
    if any(finding.state == FAULT for finding in findings[1:]):
        sys.exit(FAULTS_FOUND)


def _daemon(operator: Operator) -> Finding:
    """See whether the daemon is there; a host can be fit without."""
    from runc_cpi.daemon.doctor.finding import fault, fine

    try:
        version = operator.ask("Ping")[b"version"].decode()
    except DaemonUnreachable as error:
        return fault("daemon", str(error), "start runc-cpid: systemctl start runc-cpid")
    except (CPIError, click.UsageError) as error:
        text = error.message if isinstance(error, click.UsageError) else str(error)
        return fault("daemon", text, "see docs/security.md, who may call")
    return fine("daemon", f"runc-cpid {version} is there")


def _print(findings: Sequence[Finding]) -> None:
    rows = [(each.state, each.check, each.seen) for each in findings]
    print_table(("STATE", "CHECK", "SEEN"), rows)
    advised = [each for each in findings if each.advice]
    if advised:
        click.echo()
        print_table(("TO DO", ""), [(each.check, each.advice) for each in advised])
