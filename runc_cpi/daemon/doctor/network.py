"""The network: the daemon's port, name servers, IPv6, and the firewalls of others."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from runc_cpi.daemon.config import TCPAddress, UnixAddress
from runc_cpi.daemon.doctor.finding import Finding, Patient, fault, fine, warning
from runc_cpi.daemon.doctor.programs import ran
from runc_cpi.daemon.host.network import beside, port_holders
from runc_cpi.daemon.host.network.iptables import LOCKED, PROGRAMS, WAIT
from runc_cpi.daemon.host.network.ipv6 import CONF
from runc_cpi.daemon.host.network.nftables import Table

# What says whether the host itself has IPv6.
AS_A_WHOLE = ("all", "lo")


def address(patient: Patient) -> Iterator[Finding]:
    """See whether the daemon can listen where it shall."""
    config = patient.config
    yield _listening("address", config.address, patient)
    if config.http is not None:
        yield _listening("http.address", config.http.address, patient)


def _listening(key: str, where: TCPAddress | UnixAddress, patient: Patient) -> Finding:
    if patient.is_served:
        seen = "seems to listen" if patient.is_refused else "listens"
        return fine(key, f"runc-cpid {seen} at {where}")
    holder = None
    if isinstance(where, TCPAddress):
        holder = port_holders.holder(where.ip, where.port)
    if holder is None:
        return fine(key, f"{where} is free")
    advice = "end that program, or configure another address"
    return fault(key, f"{where} is taken by {holder}", advice)


def ipv6(patient: Patient, conf: Path = CONF) -> Iterator[Finding]:
    """See whether the host has IPv6, which networks of it need."""
    is_needed = any(network.cidr.version == 6 for network in patient.config.networks)
    if not conf.is_dir():
        seen, advice = "is not in this kernel", "have no network of IPv6"
        yield fault("IPv6", seen, advice) if is_needed else fine("IPv6", seen)
        return
    off = [
        f"net.ipv6.conf.{name}.disable_ipv6" for name in AS_A_WHOLE if _is_off(conf / name)
    ]
    if not off:
        yield fine("IPv6", "is on")
    elif not is_needed:
        yield fine("IPv6", f"is off by {off[0]}")
    else:
        seen = f"is off by {off[0]}: VMs reach each other, and nothing beyond the host"
        yield warning("IPv6", seen, f"sysctl -w {off[0]}=0, and in /etc/sysctl.d")


def _is_off(conf: Path) -> bool:
    return (conf / "disable_ipv6").read_text("ascii").strip() == "1"


def firewall(patient: Patient) -> Iterator[Finding]:
    """See whether another firewall stops what VMs send."""
    networks, firewalld = patient.config.networks, Table.firewalld()
    versions = {network.cidr.version for network in networks}
    listings = {version: _listing(PROGRAMS[version]) for version in versions}
    commands: list[str] = []
    for network in networks:
        version = network.cidr.version
        listing, program = listings[version], PROGRAMS[version]
        commands += beside.advice(listing, firewalld, network.bridge, program)
    if commands:
        seen = "another firewall of this host stops what VMs send"
        yield warning("firewall", seen, "; ".join(dict.fromkeys(commands)))
    else:
        yield fine("firewall", "no other stops what VMs send")


def _listing(program: str) -> str:
    """
    Return the rules of iptables or ip6tables, or nothing if there are none.

    @raise OSError: if it does not tell.
    """
    if shutil.which(program) is None:
        return ""
    try:
        done = ran(program, "-w", WAIT, "-S")
    except subprocess.TimeoutExpired as error:
        raise OSError(str(error)) from None
    if done.returncode == LOCKED:
        raise OSError(f"{program}: {done.stderr.strip()}")
    return done.stdout if done.returncode == 0 else ""
