"""The host's clock, which is that of all its VMs as well."""

from __future__ import annotations

from collections.abc import Iterator

from runc_cpi.daemon.doctor.finding import Finding, Patient, fine, warning
from runc_cpi.daemon.host.clock import is_synchronized


def clock(_: Patient) -> Iterator[Finding]:
    """See whether something keeps the clock right: VMs leave that to the host."""
    if is_synchronized():
        yield fine("clock", "is synchronized")
    else:
        advice = "install chrony, or run timedatectl set-ntp true"
        yield warning("clock", "is not synchronized, and VMs cannot set it", advice)
