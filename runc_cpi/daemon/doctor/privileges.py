"""What root of this host may do: a container or a unit may have taken some of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from runc_cpi.daemon.doctor.finding import Finding, Patient, fault, fine, warning
from runc_cpi.daemon.host.capabilities import own_capabilities

STATUS = Path("/proc/self/status")
# What the daemon does with each (capabilities(7)).
NEEDED: Mapping[str, str] = {
    "CAP_SYS_ADMIN": "mount file systems and make namespaces",
    "CAP_NET_ADMIN": "make interfaces and rules",
    "CAP_MKNOD": "show disks to VMs",
    "CAP_CHOWN": "unpack stemcells",
    "CAP_DAC_OVERRIDE": "write files of VMs",
    "CAP_FOWNER": "unpack stemcells",
    "CAP_SETFCAP": "unpack stemcells",
    "CAP_SETUID": "run containers",
    "CAP_SETGID": "run containers",
    "CAP_KILL": "end containers",
    "CAP_SYS_CHROOT": "run containers",
}
# What containers get that have it, and some jobs want.
USEFUL: Mapping[str, str] = {
    "CAP_SYS_RESOURCE": "VMs cannot raise their limits",
    "CAP_NET_RAW": "VMs cannot ping",
    "CAP_SYS_PTRACE": "VMs cannot look into their own containers",
}
ADVICE = "give runc-cpid all of root's capabilities: see CapabilityBoundingSet of its unit"


def root(_: Patient) -> Iterator[Finding]:
    """See whether this is root: nobody else can find out whether the host is fit."""
    if os.geteuid() == 0:
        yield fine("root", "is who asks")
    else:
        seen = "is not who asks: what only root may look at is not looked at"
        yield fault("root", seen, "run this as root, on the daemon's host")


def is_hidden(path: str | Path) -> bool:
    """Say whether a file is there that we may not read."""
    try:
        with open(path, "rb"):
            return False
    except OSError as error:
        return isinstance(error, PermissionError)


def capabilities(_: Patient, status: Path = STATUS) -> Iterator[Finding]:
    """Look for capabilities that root is without."""
    own = own_capabilities(status.read_text("ascii"))
    missing = [f"{name} ({use})" for name, use in NEEDED.items() if name not in own]
    useful = [f"{name} ({use})" for name, use in USEFUL.items() if name not in own]
    if missing:
        yield fault("capabilities", f"runc-cpid is without {', '.join(missing)}", ADVICE)
    elif useful:
        yield warning("capabilities", f"runc-cpid is without {', '.join(useful)}", ADVICE)
    else:
        yield fine("capabilities", "are those that VMs need")
