"""All checks, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from runc_cpi.daemon.doctor import (
    certificates,
    cgroups,
    clock,
    kernel,
    leftovers,
    names,
    network,
    ports,
    privileges,
    programs,
    room,
)
from runc_cpi.daemon.doctor.finding import Finding, Patient, unseen, warning

Check = Callable[[Patient], Iterable[Finding]]

# Each takes a few milliseconds, and starts no program.
QUICK: tuple[Check, ...] = (
    privileges.capabilities,
    cgroups.layout,
    cgroups.stemcells_and_cgroups,
    kernel.modules,
    kernel.limits,
    room.room,
    clock.clock,
    names.names,
    network.ipv6,
    certificates.certificates,
)
# These start programs, or wait for others.
THOROUGH: tuple[Check, ...] = (
    privileges.root,
    programs.programs,
    programs.nftables,
    programs.runtime,
    room.file_system,
    network.address,
    network.firewall,
    names.answers,
    ports.published_ports,
    leftovers.leftovers,
)
# To others these look as if all were well, or as if something were wrong that is not.
ONLY_ROOT: frozenset[Check] = frozenset(
    {
        privileges.capabilities,
        cgroups.stemcells_and_cgroups,
        programs.nftables,
        room.file_system,
        network.firewall,
        ports.published_ports,
        leftovers.leftovers,
    }
)


def examine(patient: Patient, checks: Iterable[Check]) -> Iterator[Finding]:
    """
    Make checks; this blocks.

    One that cannot be made is a finding of its own.
    """
    for check in checks:
        if check in ONLY_ROOT and os.geteuid() != 0:
            yield unseen(_name(check), "only root may")
            continue
        try:
            yield from check(patient)
        except (OSError, ValueError) as error:
            yield unseen(_name(check), str(error))
        # A fault of a check must not be the end of a start, nor hide what others find.
        except Exception as error:
            seen = f"cannot be looked at: {type(error).__name__}: {error}"
            advice = "this is a fault of runc-cpi; report it"
            yield warning(_name(check), seen, advice)


def _name(check: Check) -> str:
    return check.__name__.replace("_", " ")
