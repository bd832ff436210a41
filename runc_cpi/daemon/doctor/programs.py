"""Programs and libraries of the host: what is missing, and what is known to be bad."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator

from runc_cpi.daemon.doctor.finding import Finding, Patient, fault, fine, warning
from runc_cpi.daemon.host import requirements
from runc_cpi.daemon.host.requirements import HostUnfit

TIMEOUT = 10.0  # seconds
VERSION = re.compile(
    r"^(\w+) version (\d+)\.(\d+)(?:\.(\d+))?([-~.]?rc\.?(\d*))?", re.MULTILINE
)
# What is released follows all its candidates.
RELEASED = 1 << 30
# From which version of each line on, or which candidate of it, containers cannot get out
# by CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881 (runc's advisories); older lines were
# not mended.
MENDED_RUNC = {(1, 2): (8, RELEASED), (1, 3): (3, RELEASED), (1, 4): (0, 3)}


def programs(patient: Patient) -> Iterator[Finding]:
    """Look for what the daemon refuses to start without."""
    config = patient.config
    wanted: list[Callable[[], object]] = [requirements.check_programs]
    if config.disks.driver == "image":
        filesystem = config.disks.filesystem
        wanted.append(lambda: requirements.check_loop_devices(filesystem))
        if config.vms.root_disk_size is not None:
            wanted.append(requirements.check_root_disks)
    if config.security.profile == "isolated":
        wanted.append(lambda: requirements.check_ids(*config.security.ids))
    found = list(_refusals("programs", wanted))
    yield from found or [fine("programs", "those that the daemon runs are there")]


def nftables(patient: Patient) -> Iterator[Finding]:
    """See whether nftables works, which agents in VMs use as well."""
    config = patient.config
    key = "nat" if config.nat or not config.peers else "peers"
    found = list(_refusals("nftables", [lambda: requirements.check_nftables(key)]))
    yield from found or [fine("nftables", "the kernel takes rules")]


def _refusals(name: str, wanted: list[Callable[[], object]]) -> Iterator[Finding]:
    for check in wanted:
        try:
            check()
        except HostUnfit as error:
            seen, _, advice = str(error).partition("; ")
            yield fault(name, seen, advice)


def runtime(patient: Patient) -> Iterator[Finding]:
    """Ask the OCI runtime for its version."""
    name = "OCI runtime"
    try:
        path = requirements.find_runtime(patient.config.runtime)
        told = told_version(path)
    except HostUnfit as error:
        yield fault(name, str(error), "install runc, or set runtime")
        return
    except (OSError, subprocess.TimeoutExpired) as error:
        yield fault(name, f"{patient.config.runtime}: {error}", "install it anew")
        return
    yield judge(name, path, told)


def told_version(program: str) -> str:
    """
    Return what the C{--version} of a program prints; it blocks.

    @raise OSError: as L{ran} does.
    @raise TimeoutExpired: as L{ran} does.
    """
    return ran(program, "--version").stdout


def ran(*argv: str) -> subprocess.CompletedProcess[str]:
    """
    Run a program, and return what came of it; it blocks.

    @raise OSError: if it cannot be run.
    @raise TimeoutExpired: if it does not end within L{TIMEOUT} seconds.
    """
    return subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT,
        check=False,
    )


def judge(name: str, path: str, told: str) -> Finding:
    """
    Say what is known of a version of a runtime.

    @param told: what its C{--version} prints.
    """
    found = VERSION.search(told)
    if found is None:
        return warning(name, f"{path} does not tell its version", "see that it is runc")
    program, *numbers, suffix, candidate = found.groups("")
    line, patch = (int(numbers[0]), int(numbers[1])), int(numbers[2] or 0)
    version = f"{program} {line[0]}.{line[1]}.{patch}{suffix}"
    place = patch, int(candidate or 0) if suffix else RELEASED
    least = MENDED_RUNC.get(line)
    is_mended = line > max(MENDED_RUNC) if least is None else place >= least
    if program == "runc" and not is_mended:
        seen = (
            f"{version} lets containers out by CVE-2025-31133, unless your distribution "
            "has mended it"
        )
        return warning(name, seen, "install runc 1.2.8, 1.3.3, 1.4 or newer")
    return fine(name, version)
