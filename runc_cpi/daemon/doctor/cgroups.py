"""The layout of cgroups: what it bounds, and which stemcells boot with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from runc_cpi.daemon.doctor.finding import Finding, Patient, fault, fine, warning
from runc_cpi.daemon.host.cgroups import hierarchies
from runc_cpi.daemon.stemcells.features import inspect
from runc_cpi.daemon.stemcells.stemcell import record_path, rootfs_path
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.records import read_record
from runc_cpi.daemon.vms.inits import WITHOUT_LEGACY_CGROUPS

NAME = "cgroups"
STEMCELLS = "stemcells and cgroups"
CONTROLLERS = ("cpu", "memory", "pids")
UNIFIED = "boot the host with systemd.unified_cgroup_hierarchy=1"


def are_unified() -> bool:
    """Whether this host has cgroup v2 alone."""
    return hierarchies.are_unified(hierarchies.ROOT)


def layout(_: Patient, root: Path = hierarchies.ROOT) -> Iterator[Finding]:
    """Look for the controllers that bound VMs (cgroups(7))."""
    if hierarchies.are_unified(root):
        told, kind = (root / "cgroup.controllers").read_text("ascii").split(), "v2"
        remedy = "see which process of the host has it: cat /proc/cgroups"
    else:
        told = [name for name in CONTROLLERS if (root / name).is_dir()]
        kind = "v1 and v2 side by side" if (root / "unified").is_dir() else "v1"
        remedy = UNIFIED
    missing = [name for name in CONTROLLERS if name not in told]
    if missing:
        seen = f"{kind}, without {', '.join(missing)}: VMs are not bounded by it"
        yield warning(NAME, seen, remedy)
    else:
        yield fine(NAME, f"{kind}, with {', '.join(CONTROLLERS)}")


def stemcells_and_cgroups(
    patient: Patient, root: Path = hierarchies.ROOT
) -> Iterator[Finding]:
    """Look for stemcells whose systemd does not boot with cgroup v1 (systemd's NEWS)."""
    unfit, count = [], 0
    for directory in sorted(Depot(patient.config.work_dir).stemcells.glob("*")):
        count += 1
        version = _systemd(directory)
        if version >= WITHOUT_LEGACY_CGROUPS:
            unfit.append(f"{directory.name} has systemd {version}")
    if unfit and not hierarchies.are_unified(root):
        seen = f"{'; '.join(unfit)}: it boots with cgroup v2 only, and this host has v1"
        remedy = f"a stemcell with systemd {WITHOUT_LEGACY_CGROUPS - 1} or older"
        yield fault(STEMCELLS, seen, f"{UNIFIED}, or use {remedy}")
    else:
        yield fine(STEMCELLS, f"this layout can boot each ({count})")


def _systemd(directory: Path) -> int:
    """Return the version of systemd in a stemcell, or 0 if it has none or does not tell."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        features = read_record(record_path(directory))["features"]
        if features["init"] != "systemd":
            return 0
        if "systemd" in features:
            return int(features["systemd"] or 0)
        # An older daemon did not note it.
        found = inspect(rootfs_path(directory))
        return (found and found.systemd) or 0
    return 0
