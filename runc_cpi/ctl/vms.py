"""C{runc-cpictl vms}, and C{vm} for one of them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

import click

from runc_cpi.ctl.deletion import Deletion
from runc_cpi.ctl.operator import Operator
from runc_cpi.ctl.tables import Listing, Thing
from runc_cpi.printable import printable

CID = re.compile(r"vm-[0-9a-f-]{36}")
# What follows it belongs to the command that is run.
LAST_OPTIONS = {"ignore_unknown_options": True, "allow_interspersed_args": False}


class VMCid(click.ParamType[str]):
    """The id of a VM; it becomes part of a path."""

    name = "vm_cid"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return what is the id of a VM, or end with a usage error."""
        if not CID.fullmatch(value):
            self.fail(f"{value!r} is not the id of a VM", param, ctx)
        return value


def _row(vm: Thing) -> Sequence[str]:
    state = "running" if vm["running"] else "stopped"
    if vm.get("oom_kills"):
        state += f", {vm['oom_kills']} OOM kills"
    return (
        vm["vm_cid"],
        state,
        ",".join(vm["addresses"]),
        str(vm["metadata"].get("name") or vm["agent_id"]),
    )


LISTING = Listing(
    asking="ListVMs", key="vms", headings=("VM", "STATE", "ADDRESS", "NAME"), row=_row
)


class VMDeletion(Deletion):
    """Deletes VMs."""

    noun = "vm"
    asking = "DeleteVM"
    summary = "Delete VMs that BOSH has forgotten.  Their disks stay."

    def describe(self, thing: Thing) -> str:
        """Say what C{vms} says about it."""
        return printable(", ".join(_row(thing)))


vms = LISTING.command("List the VMs.")


@click.group()
def vm() -> None:
    """Look into one VM, or delete it."""


@vm.command()
@click.argument("vm_cid", type=VMCid())
@click.option(
    "-f", "--follow", is_flag=True, help="Go on with what it writes, until Ctrl-C."
)
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    help="Begin with the last so many lines, and not with 1 MiB.",
)
@click.pass_obj
def console(operator: Operator, vm_cid: str, *, follow: bool, lines: int | None) -> None:
    """Print what a VM wrote to its console."""
    from runc_cpi.ctl.console import show_console

    show_console(operator.config.work_dir / "vms" / vm_cid, lines, follow=follow)


@vm.command(name="exec", context_settings=LAST_OPTIONS)
@click.argument("vm_cid", type=VMCid())
@click.argument("argv", metavar="COMMAND...", nargs=-1, required=True)
@click.pass_obj
def execute(operator: Operator, vm_cid: str, argv: tuple[str, ...]) -> None:
    """Run a command inside a VM, as root."""
    _become(operator, vm_cid, argv)


@vm.command()
@click.argument("vm_cid", type=VMCid())
@click.pass_obj
def shell(operator: Operator, vm_cid: str) -> None:
    """Open a shell inside a VM, as root."""
    _become(operator, vm_cid, ("/bin/sh",))


vm.add_command(VMDeletion().command())


def _become(operator: Operator, vm_cid: str, inside: Sequence[str]) -> None:
    """Become the runtime's C{exec}."""
    config = operator.config
    argv = [config.runtime, "--root", str(config.work_dir / "runtime"), "exec"]
    if sys.stdin.isatty() and sys.stdout.isatty():
        argv.append("--tty")
    argv += [vm_cid, *inside]
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        raise click.ClickException(f"{argv[0]}: {error.strerror}") from None
