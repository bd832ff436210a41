"""What is on the host, looks like a VM's or a disk's, and has no record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from runc_cpi.daemon.disks.paths import disk_record
from runc_cpi.daemon.doctor.finding import Finding, Patient, fine, warning
from runc_cpi.daemon.host.cgroups import hierarchies
from runc_cpi.daemon.host.disks.loop_ioctl import devices_below
from runc_cpi.daemon.host.network import link_dump
from runc_cpi.daemon.host.network.veth import OWN_ALIAS
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.depot import Depot

MOST = 5  # that are named
NAME = "leftovers"


def leftovers(patient: Patient) -> Iterator[Finding]:
    """
    Look for containers, cgroups and interfaces of no VM, and loop devices of no disk.

    While the daemon is there, a VM that has a directory may be in the making.
    """
    depot = Depot(patient.config.work_dir)
    bridges = {network.bridge for network in patient.config.networks}
    known = _known(depot, patient)
    found = {*_directories(depot), *_cgroups(depot), *_interfaces(bridges)}
    # VMs come and go while one looks.
    known |= _known(depot, patient)
    strays = [*sorted(found - known), *sorted(_loop_devices(depot))]
    if not strays:
        yield fine(NAME, "there is nothing without a record")
        return
    more = f" and {len(strays) - MOST} more" if len(strays) > MOST else ""
    remedy = "runc-cpictl repair" if patient.is_served else "start runc-cpid, which does it"
    seen = f"without a record: {', '.join(strays[:MOST])}{more}"
    yield warning(NAME, seen, f"to remove them: {remedy}")


def _known(depot: Depot, patient: Patient) -> set[str]:
    return {
        path.name
        for path in depot.vms.glob("vm-*")
        if patient.is_served or Bundle(path).record.exists()
    }


def _directories(depot: Depot) -> set[str]:
    """Name the VMs with a directory, a disk that is in use, or a container."""
    images = map(Path, devices_below(depot.vms))
    return {
        *(path.name for path in depot.vms.glob("vm-*")),
        *(image.parent.name for image in images),
        *(path.name for path in depot.runtime.glob("vm-*")),
    }


def _cgroups(depot: Depot) -> set[str]:
    names = hierarchies.children(depot.cgroup_parent)
    return {name for name in names if name.startswith("vm-")}


def _loop_devices(depot: Depot) -> set[str]:
    """Name the loop devices of files of disks that are none any more."""
    return {
        device.path
        for file, device in devices_below(depot.disks).items()
        if not disk_record(Path(file).parent).exists()
    }


def _interfaces(bridges: set[str]) -> set[str]:
    """Name the VMs that have an interface on one of these bridges."""
    aliases = [
        OWN_ALIAS.fullmatch(port.alias)
        for bridge in link_dump.bridges()
        if bridge.name in bridges
        for port in link_dump.ports(bridge.index)
    ]
    return {alias[1] for alias in aliases if alias is not None}
