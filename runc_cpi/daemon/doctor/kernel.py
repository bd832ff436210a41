"""The kernel: its modules, and the limits that all VMs share."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.daemon.doctor.finding import Finding, Patient, fault, fine, warning
from runc_cpi.daemon.host import kernel_limits

ROOT = Path("/")


@dataclass(frozen=True, kw_only=True)
class Module:
    """
    A part of the kernel that may be a module.

    @ivar signs: files that are there if the kernel has it.
    @ivar filesystem: the name that it has in C{/proc/filesystems}, if it is one.
    @ivar use: what needs it.
    """

    name: str
    use: str
    signs: Sequence[str] = ()
    filesystem: bool = False


NEEDED = Module(name="overlay", use="root file systems of VMs", filesystem=True)
LOOP = Module(name="loop", use="disks that are files", signs=["dev/loop-control"])
# Only some VMs want these.
OPTIONAL = (
    Module(name="br_netfilter", use="Kubernetes in VMs", signs=["proc/sys/net/bridge"]),
    Module(name="tun", use="VPN in VMs", signs=["dev/net/tun"]),
    Module(name="fuse", use="FUSE in VMs", signs=["dev/fuse"]),
)


def modules(patient: Patient, root: Path = ROOT) -> Iterator[Finding]:
    """Look for the kernel's modules, loaded or built in."""
    for module, is_needed in _wanted(patient.config):
        name = f"kernel module {module.name}"
        load = f"modprobe {module.name}"
        if _is_there(module, root):
            yield fine(name, "is there")
        elif _can_be_loaded(module.name, root):
            yield fine(name, f"is not loaded; {module.use} would need it: {load}")
        elif is_needed:
            yield fault(name, f"is not seen; it is needed for {module.use}", load)
        else:
            yield fine(name, f"is not seen; without it there is no {module.use}")


def _wanted(config: DaemonConfig) -> Iterator[tuple[Module, bool]]:
    """Return the modules, each with whether VMs cannot be without it."""
    yield NEEDED, True
    yield LOOP, config.disks.driver == "image"
    for module in OPTIONAL:
        yield module, False


def _is_there(module: Module, root: Path) -> bool:
    if any((root / sign).exists() for sign in module.signs):
        return True
    with suppress(OSError):
        known = (root / "proc/filesystems").read_text("ascii").split()
        return module.filesystem and module.name in known
    return False


def _can_be_loaded(name: str, root: Path) -> bool:
    """Say whether the kernel has a module built in, or in a file (modules.dep(5))."""
    directory = root / "lib/modules" / os.uname().release
    files = {f"{name}.ko", f"{name.replace('_', '-')}.ko"}
    for listing in ("modules.builtin", "modules.dep"):
        with suppress(OSError):
            for line in (directory / listing).read_text("utf-8", "replace").splitlines():
                file = line.partition(":")[0].rpartition("/")[2]
                if file.partition(".ko")[0] + ".ko" in files:
                    return True
    return False


def limits(_: Patient, sysctls: Path = kernel_limits.SYSCTLS) -> Iterator[Finding]:
    """Look for limits of a user that are too low: root is one user in all VMs."""
    low = kernel_limits.low(sysctls)
    if low:
        seen = f"too low for many VMs: {', '.join(low)}"
        yield warning("kernel limits", seen, "operations/raise-limits raises them")
    else:
        yield fine("kernel limits", "are enough for some hundred VMs")
