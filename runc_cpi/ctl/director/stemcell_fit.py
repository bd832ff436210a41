"""Whether this host can boot a stemcell, as far as its name tells before it is fetched."""

from __future__ import annotations

import platform
import re
from contextlib import suppress
from pathlib import Path

import click

from runc_cpi.daemon.doctor import cgroups

# Such as bosh-stemcell-1.484-warden-boshlite-ubuntu-noble.tgz. All that are published and
# name no kind of machine are for amd64.
_NAME = re.compile(r"bosh-stemcell-[\d.]+-[a-z0-9_-]+")
_MACHINE = re.compile(r"-(arm64|aarch64|amd64|x86_64)\b")
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
# Its systemd is the first that does not boot with cgroup v1 (systemd's NEWS, 258).
UNIFIED_ONLY = "ubuntu-resolute"
# What the kernel runs programs of other machines with (binfmt_misc), and how one for amd64
# begins that is not of this machine: e_machine of its ELF header (elf(5)).
HANDLERS = Path("/proc/sys/fs/binfmt_misc")
_AMD64 = re.compile(r"^magic 7f454c460201.{24}3e00", re.MULTILINE)
# Where a container looks for the handler's program, there is none but with this flag.
_FIXED = re.compile(r"^flags: \S*F", re.MULTILINE)


def check(url: str) -> None:
    """
    Refuse a stemcell that cannot boot here.

    @param url: where it is; of a name that tells nothing, the daemon finds out.
    @raise click.ClickException: saying why, and what to do.
    """
    found = _NAME.search(url.rpartition("/")[2])
    if found is None:
        return
    name, here = found[0], MACHINES.get(platform.machine(), platform.machine())
    told = _MACHINE.search(name)
    machine = MACHINES.get(told[1], told[1]) if told else "amd64"
    if machine != here and not (machine == "amd64" and runs_amd64()):
        raise click.ClickException(
            f"the stemcell {name} is for {machine}, and this machine is {here}; none for "
            f"{here} is known here: give one with --stemcell, or have the kernel run "
            f"programs for {machine} (the package qemu-user-static, or Rosetta)"
        )
    if UNIFIED_ONLY in name and not cgroups.are_unified():
        raise click.ClickException(
            f"the stemcell {name} boots with cgroup v2 only, and this host has v1: "
            f"{cgroups.UNIFIED}, or give another with --stemcell"
        )


def runs_amd64(handlers: Path = HANDLERS) -> bool:
    """Whether the kernel runs programs for amd64 by another program, also in VMs."""
    for path in handlers.glob("*"):
        with suppress(OSError):
            text = path.read_text("utf-8", "replace")
            if text.startswith("enabled") and _AMD64.search(text) and _FIXED.search(text):
                return True
    return False
