"""C{runc-cpictl vms}, C{delete-vm} and C{exec}."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

from twisted.python import usage

from runc_cpi.ctl.command import HostCommand, ListCommand
from runc_cpi.ctl.deletion import DeleteCommand, Thing
from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.daemon.rpc import commands
from runc_cpi.printable import printable

VM_CID = re.compile(r"vm-[0-9a-f-]{36}")


class VMs(ListCommand):
    """The command C{vms}."""

    name = "vms"
    summary = "list the VMs"
    listing = commands.ListVMs
    key = "vms"
    headings = ("VM", "STATE", "ADDRESS", "NAME")

    @staticmethod
    def row(thing: Thing) -> Sequence[str]:
        """Return the cells for a VM."""
        state = "running" if thing["running"] else "stopped"
        if thing.get("oom_kills"):
            state += f", {thing['oom_kills']} OOM kills"
        return (
            thing["vm_cid"],
            state,
            ",".join(thing["addresses"]),
            str(thing["metadata"].get("name") or thing["agent_id"]),
        )


class DeleteVM(DeleteCommand):
    """The command C{delete-vm}."""

    name = "delete-vm"
    summary = "delete VMs that BOSH has forgotten"
    noun = "vm"
    deletion = commands.DeleteVM

    def describe(self, thing: Thing) -> str:
        """Say what C{vms} says about it."""
        return printable(", ".join(VMs.row(thing)))


class Exec(HostCommand):
    """The command C{exec}."""

    name = "exec"
    summary = "run a command, or a shell, inside a VM"
    synopsis = "[--] VM_CID [COMMAND [ARGUMENT...]]"

    def parseArgs(self, vm_cid: str, *argv: str) -> None:  # type: ignore[override]
        """Take the VM and what follows it."""
        self["vm_cid"], self["argv"] = checked_vm_cid(vm_cid), argv

    def run(self, config: DaemonConfig) -> None:
        """Become the runtime's C{exec}."""
        argv = [config.runtime, "--root", str(config.work_dir / "runtime"), "exec"]
        if sys.stdin.isatty() and sys.stdout.isatty():
            argv.append("--tty")
        argv += [self["vm_cid"], *(self["argv"] or ("/bin/sh",))]
        try:
            os.execvp(argv[0], argv)
        except OSError as error:
            sys.exit(f"runc-cpictl: {argv[0]}: {error.strerror}")


def checked_vm_cid(text: str) -> str:
    """
    Return what is the id of a VM; it becomes part of a path.

    @raise usage.UsageError: if it is none.
    """
    if not VM_CID.fullmatch(text):
        raise usage.UsageError(f"{text!r} is not the id of a VM")
    return text
