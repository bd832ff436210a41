"""
The two inits that can boot a VM: how each is started, and how it halts the VM.

Which of them a stemcell has is found out by L{runc_cpi.daemon.stemcells.features}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runc_cpi.daemon.stemcells.features import RUNIT_INIT, SYSTEMD_INIT
from runc_cpi.daemon.stemcells.stemcell import Stemcell
from runc_cpi.daemon.vms.spec.mount_table import mount
from runc_cpi.errors import InvalidArgument

ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TERM=xterm",
)
# Services first, then what they left running, as an init does before it halts.  Who has
# ended and was not waited for yet, as runsvdir leaves runsv for seconds, does not count.
HALT_RUNIT = """
sv -w 7 force-stop /etc/service/*
kill -TERM -1
some_are_left() {
    for stat in /proc/[0-9]*/stat; do
        case $stat in /proc/1/* | /proc/$$/*) continue ;; esac
        { read -r line <$stat; } 2>/dev/null || continue
        case ${line##*) } in Z*) ;; *) return 0 ;; esac
    done
    return 1
}
tries=27
while [ $tries -gt 0 ] && some_are_left; do
    sleep 0.1
    tries=$((tries - 1))
done
"""
WITHOUT_LEGACY_CGROUPS = 258  # the first version of systemd (its NEWS)


@dataclass(frozen=True, kw_only=True)
class Init:
    """
    A program that can be the first process of a VM.

    @ivar argv: its command line.
    @ivar env: its environment.
    @ivar mounts: the file systems it needs beside those that every VM has.
    @ivar halt_signal: the signal at which it halts the VM, or L{None} if there is none.
    @ivar halt_command: the command that is run in the VM to halt it, if no signal does.
    """

    argv: Sequence[str]
    env: Sequence[str] = ENVIRONMENT
    mounts: Sequence[Mapping[str, Any]] = ()
    halt_signal: int | None = None
    halt_command: Sequence[str] = ()


# By their names in stemcells' records and in cloud_properties.
INITS = {
    "runit": Init(
        argv=[f"/{RUNIT_INIT}"],
        halt_command=("/bin/sh", "-c", HALT_RUNIT),
    ),
    "systemd": Init(
        argv=[f"/{SYSTEMD_INIT}"],
        # systemd looks here to learn that it runs in a container (systemd(1)).
        env=(*ENVIRONMENT, "container=oci"),
        mounts=(
            mount("/run", "tmpfs", "nosuid", "nodev", "mode=755"),
            mount(
                "/run/lock", "tmpfs", "nosuid", "nodev", "noexec", "mode=1777", "size=5120k"
            ),
        ),
        halt_signal=37,  # SIGRTMIN+3, "halt" (systemd(1))
    ),
}


def init_of(stemcell: Stemcell, name: str | None, *, legacy_cgroups: bool) -> Init:
    """
    Choose what boots a VM.

    @param name: the init that cloud_properties ask for, or L{None} to go by the stemcell.
    @param legacy_cgroups: whether the host has cgroup v1.
    @raise InvalidArgument: if the stemcell has none, and none is asked for, or if it
        cannot boot here.
    """
    name = name or stemcell.features.init
    if name is None:
        raise InvalidArgument(
            f"{stemcell.cid} has neither runit nor systemd that could boot it; "
            "cloud_properties.init could name one"
        )
    version = stemcell.features.systemd or 0
    if name == "systemd" and legacy_cgroups and version >= WITHOUT_LEGACY_CGROUPS:
        raise InvalidArgument(
            f"{stemcell.cid} has systemd {version}, which boots with cgroup v2 only, and "
            "this host has v1: boot the host with systemd.unified_cgroup_hierarchy=1, or "
            f"use a stemcell with systemd {WITHOUT_LEGACY_CGROUPS - 1} or older"
        )
    return INITS[name]
