"""Published ports: whether they lead to their VMs, and who of the host listens there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from runc_cpi.daemon.doctor.finding import Finding, Patient, fault, fine, warning
from runc_cpi.daemon.host.network import found_rules, table
from runc_cpi.daemon.host.network.listeners import listeners, owner
from runc_cpi.daemon.networks.ports import PROTOCOLS
from runc_cpi.daemon.networks.rules import Occupant, Redirection
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.records import read_record
from runc_cpi.daemon.vms.upgrades import upgraded
from runc_cpi.daemon.vms.vm import VM

NAME = "published ports"
MOST = 5  # that are named


def published(patient: Patient) -> Iterator[Finding]:
    """Compare the ports that VMs publish with the rules, and with who listens there."""
    vms = _vms(patient)
    if not vms:
        yield fine(NAME, "there are none")
        return
    unruled = _without_rules(patient, vms)
    if unruled:
        seen = f"no rule leads to {_some(unruled)}"
        yield fault(NAME, seen, "runc-cpictl repair loads the rules again")
    shadowed = list(_listeners(vms))
    if shadowed:
        advice = "end that program, have it listen elsewhere, or publish another port"
        yield warning(NAME, f"{_some(shadowed)}: it gets nothing from others", advice)
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


def _listeners(vms: Mapping[str, VM]) -> Iterator[str]:
    """Name the processes of the host that listen at ports which lead to VMs."""
    for protocol in PROTOCOLS:
        for listener in listeners(protocol):
            for vm in vms.values():
                versions = {address.version for address in vm.addresses}
                if any(
                    port.protocol == protocol
                    and listener.port in port.numbers
                    and not listener.versions.isdisjoint(versions)
                    and (listener.address is None or port.is_at(listener.address))
                    for port in vm.ports
                ):
                    process = owner(listener.inode)
                    who = f"{process.name} (pid {process.pid})" if process else "a process"
                    yield (
                        f"{who} of this host listens at {listener.port}/{protocol}, "
                        f"which leads to {vm.vm_cid}"
                    )


def _some(texts: list[str]) -> str:
    """Join the first of some texts, and count the rest."""
    more = f" and {len(texts) - MOST} more" if len(texts) > MOST else ""
    return "; ".join(texts[:MOST]) + more
