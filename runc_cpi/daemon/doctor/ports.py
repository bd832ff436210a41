"""Published ports: whether they lead to their VMs, and who of the host listens there."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

from runc_cpi.daemon.doctor.finding import Finding, Patient, fault, fine, warning
from runc_cpi.daemon.host.network import found_rules, table
from runc_cpi.daemon.host.network.listeners import Listener, listeners, owner
from runc_cpi.daemon.networks.ports import PROTOCOLS
from runc_cpi.daemon.networks.rules import Occupant, Redirection
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.records import read_record
from runc_cpi.daemon.vms.upgrades import upgraded
from runc_cpi.daemon.vms.vm import VM

NAME = "published ports"
MOST = 5  # that are named

Thing = TypeVar("Thing")


class Shadow(NamedTuple):
    """A socket of the host at a port that leads to a VM."""

    protocol: str
    listener: Listener
    vm_cid: str


def published_ports(patient: Patient) -> Iterator[Finding]:
    """Compare the ports that VMs publish with the rules, and with who listens there."""
    vms = _vms(patient)
    if not vms:
        yield fine(NAME, "there are none")
        return
    unruled = _without_rules(patient, vms)
    if unruled:
        seen = f"no rule leads to {_some(unruled)}"
        yield fault(NAME, seen, "runc-cpictl repair loads the rules again")
    shadowed = _shadows(vms)
    if shadowed:
        advice = "end that program, have it listen elsewhere, or publish another port"
        seen = f"{_some(shadowed, _told)}: it gets nothing from others"
        yield warning(NAME, seen, advice)
    if not unruled and not shadowed:
        count = sum(len(port.numbers) for vm in vms.values() for port in vm.ports)
        yield fine(NAME, f"lead to their VMs ({count})")


def _vms(patient: Patient) -> Mapping[str, VM]:
    """Return the VMs that publish ports; others, and unreadable records, do not count."""
    found = {}
    for path in Depot(patient.config.work_dir).vms.glob("vm-*"):
        # A VM may be deleted meanwhile.
        with suppress(FileNotFoundError, ValueError):
            vm = VM.from_json(upgraded(read_record(Bundle(path).record), ()))
            if vm.ports:
                found[vm.vm_cid] = vm
    return found


def _without_rules(patient: Patient, vms: Mapping[str, VM]) -> list[str]:
    """
    Name the ports that lead nowhere.

    Without a daemon there need not be rules: its start loads them.
    """
    if not patient.is_served:
        return []
    loaded = found_rules.redirections(table.name_of(patient.config.work_dir))
    missing = {
        f"port {wanted.port}/{wanted.protocol} of {vm_cid}": vm_cid
        for vm_cid, vm in vms.items()
        for wanted in _wanted(vm)
        if wanted not in loaded
    }
    if not missing:
        return []
    # Who was deleted since its record was read needs none.
    there = _vms(patient)
    return [port for port, vm_cid in missing.items() if vm_cid in there]


def _wanted(vm: VM) -> list[Redirection]:
    occupant = Occupant(addresses=vm.addresses, ports=vm.ports)
    led = occupant.redirections.values()
    return sorted((each for some in led for each in some), key=lambda each: each.port)


def _shadows(vms: Mapping[str, VM]) -> list[Shadow]:
    """Find the sockets of the host at ports which lead to VMs."""
    found: dict[Shadow, None] = {}
    for protocol in PROTOCOLS:
        there = sorted(listeners(protocol), key=lambda listener: listener.port)
        numbers = [listener.port for listener in there]
        for vm in vms.values():
            versions = {address.version for address in vm.addresses}
            for port in vm.ports:
                if port.protocol != protocol:
                    continue
                first, last = (
                    bisect_left(numbers, port.first),
                    bisect_right(numbers, port.last),
                )
                for listener in there[first:last]:
                    if not listener.versions.isdisjoint(versions) and (
                        listener.address is None or port.is_at(listener.address)
                    ):
                        found[Shadow(protocol, listener, vm.vm_cid)] = None
    return list(found)


def _told(shadow: Shadow) -> str:
    """Name the process that has a socket: that looks at all processes of the host."""
    process = owner(shadow.listener.inode)
    who = f"{process.name} (pid {process.pid})" if process else "a process"
    return (
        f"{who} of this host listens at {shadow.listener.port}/{shadow.protocol}, "
        f"which leads to {shadow.vm_cid}"
    )


def _some(things: Sequence[Thing], told: Callable[[Thing], str] = str) -> str:
    """Tell of the first of some things, and count the rest."""
    more = f" and {len(things) - MOST} more" if len(things) > MOST else ""
    return "; ".join(map(told, things[:MOST])) + more
