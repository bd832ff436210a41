"""Whether this host can have a director."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import click

from runc_cpi.ctl.director.settings import (
    AGENT,
    API,
    PUBLISHED,
    SSH,
    Settings,
    is_path,
)
from runc_cpi.daemon.config import DaemonConfig

# What the bosh CLI and the steps run. A program, its package in Debian.
PROGRAMS = {
    "git": "git",
    "python3": "python3",
    "ruby": "ruby",
    "ssh": "openssh-client",
    "tar": "tar",
}
GIB = 1 << 30
# What a director alone takes of memory and disk, in bytes.
LEAST_MEMORY, LEAST_DISK = 3 * GIB, 10 * GIB


def check(settings: Settings, config: DaemonConfig, *, is_new: bool) -> str:
    """
    Look whether this host fits, and change nothing.

    @param config: the daemon's.
    @param is_new: whether there is no VM of the director yet.  Once there is one, the
        daemon has looked at the host, and the ports are taken.
    @return: what was found, and what may be too little.
    @raise click.ClickException: naming all that does not fit.
    """
    faults = _missing(settings)
    if is_new:
        faults += _occupied() + _unfit(config)
    if faults:
        raise click.ClickException("\n".join(["this host does not fit:", *faults]))
    found = [
        _room("memory", _memory(), LEAST_MEMORY),
        _room("disk free", _free(config.work_dir), LEAST_DISK),
    ]
    if is_new:
        found.append(_doubts(config))
    return ", ".join(found)


def _room(what: str, there: int, least: int) -> str:
    text = f"{there / GIB:.0f} GiB of {what}"
    if there < least:
        text += f" (may be too little: a director alone takes {least // GIB})"
    return text


def _missing(settings: Settings) -> list[str]:
    wanted = dict(PROGRAMS)
    if is_path(settings.deployment_source) or settings.offline:
        del wanted["git"]
    if "jumpbox" not in settings.features:
        del wanted["ssh"]
    missing = [package for name, package in wanted.items() if shutil.which(name) is None]
    if not missing:
        return []
    return [f"programs are missing: apt-get install {' '.join(sorted(missing))}"]


def _occupied() -> list[str]:
    faults = []
    for port in (API, AGENT, SSH):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind((PUBLISHED, port))
            except OSError as error:
                faults.append(
                    f"port {port} of {PUBLISHED}, which the director is to have: "
                    f"{error.strerror}; ss -tlnp names who has it"
                )
    return faults


def _unfit(config: DaemonConfig) -> list[str]:
    """Say what the daemon would refuse to start for."""
    from runc_cpi.daemon.doctor import programs
    from runc_cpi.daemon.doctor.examination import examine
    from runc_cpi.daemon.doctor.finding import FAULT, Patient

    patient = Patient(config=config, is_served=False)
    checks = (programs.programs, programs.nftables, programs.runtime)
    findings = [each for each in examine(patient, checks) if each.state == FAULT]
    return [f"{each.check}: {each.seen}; {each.advice}" for each in findings]


def _doubts(config: DaemonConfig) -> str:
    """Count what the daemon would warn of, without its certificates, which come later."""
    from runc_cpi.daemon.doctor.certificates import certificates
    from runc_cpi.daemon.doctor.examination import QUICK, examine
    from runc_cpi.daemon.doctor.finding import OK, Patient

    patient = Patient(config=config, is_served=False)
    checks = [check for check in QUICK if check is not certificates]
    count = sum(each.state != OK for each in examine(patient, checks))
    if count == 0:
        return "all is well"
    return f"runc-cpictl doctor has {count} more to say"


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _free(path: Path) -> int:
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free
