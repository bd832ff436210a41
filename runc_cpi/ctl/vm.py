"""C{runc-cpictl vm}: one VM, what it says, and a way into it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from runc_cpi.ctl import units
from runc_cpi.ctl.deletion import Deletion
from runc_cpi.ctl.inside import VMCid, first_process, runtime
from runc_cpi.ctl.operator import Operator, output_option
from runc_cpi.ctl.tables import Thing, no_such, print_facts
from runc_cpi.ctl.vms import MOMENT, Measuring, instance_of, port_of, state_of
from runc_cpi.printable import printable

# What follows it belongs to the command that is run.
LAST_OPTIONS = {"ignore_unknown_options": True, "allow_interspersed_args": False}
LINES = 100  # of a log, if not said

vm_argument = click.argument("vm_cid", type=VMCid())
follow_option = click.option(
    "-f", "--follow", is_flag=True, help="Go on with what it writes, until Ctrl-C."
)


class VMDeletion(Deletion):
    """Deletes VMs."""

    noun = "vm"
    asking = "DeleteVM"
    summary = "Delete VMs that BOSH has forgotten.  Their disks stay."

    def describe(self, thing: Thing) -> str:
        """Say whether it runs, where it is, and what BOSH calls it."""
        addresses = ",".join(thing["addresses"])
        parts = (thing["vm_cid"], state_of(thing), addresses, instance_of(thing))
        return printable(", ".join(parts))


@click.group()
def vm() -> None:
    """Look into one VM, start and stop it, or delete it."""


@vm.command()
@vm_argument
@output_option
@click.pass_obj
def show(operator: Operator, vm_cid: str) -> None:
    """Tell all that is known of a VM, but what may be secret."""
    measuring = Measuring(operator, None)
    time.sleep(MOMENT)
    found = [each for each in measuring.ask() if each["vm_cid"] == vm_cid]
    if not found:
        raise no_such("vm", vm_cid)
    (disks,) = operator.ask_for("ListDisks", "disks")
    attached = [disk["disk_cid"] for disk in disks if disk["attached_to"] == vm_cid]
    thing = {**found[0], "disk_cids": attached}
    operator.show(thing, lambda: print_facts(facts(thing)))


def facts(thing: Thing) -> dict[str, str]:
    """Return what is known of a VM, for people."""
    usage = thing["usage"]
    told = {
        "vm": thing["vm_cid"],
        "state": state_of(thing),
        "ended": _ended(thing.get("end")),
        "instance": instance_of(thing),
        "agent": thing["agent_id"],
        "stemcell": thing["stemcell_cid"],
        "made": _moment(thing["created_at"]),
        "addresses": ", ".join(thing["addresses"]),
        "vips": ", ".join(thing["vips"]),
        "ports": ", ".join(map(port_of, thing["ports"])),
        "disks": ", ".join(thing["disk_cids"]),
        **(_used(usage) if usage else {}),
    }
    told = {name: value for name, value in told.items() if value}
    notes = {f"metadata {name}": str(value) for name, value in thing["metadata"].items()}
    return {**told, **notes}


def _ended(end: Thing | None) -> str:
    return f"{_moment(end['at'])}: its first process {end['how']}" if end else ""


def _moment(time: str) -> str:
    return f"{time} ({units.age(time)} ago)" if time else ""


def _used(usage: Thing) -> dict[str, str]:
    limit = usage["cpu_limit"]
    most = f" of {limit * 100:.0f}%" if limit else ""
    spent, pids = usage["cpu_seconds"], usage["pids"]
    in_all = "" if spent is None else f", {spent:.0f} s in all"
    return {
        "cpu": f"{units.percent(usage['cpu'])}{most}{in_all}",
        "memory": units.of(usage["memory"], usage["memory_limit"]),
        "processes": units.NOTHING if pids is None else str(pids),
        "disk": units.of(usage["disk"], usage["disk_limit"]),
        "read, written": f"{units.size(usage['read'])}, {units.size(usage['written'])}",
        "received, sent": f"{units.size(usage['received'])}, {units.size(usage['sent'])}",
    }


@vm.command()
@vm_argument
@follow_option
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=LINES,
    show_default=True,
    help="How many lines to begin with, of each file.",
)
@click.option("--console", is_flag=True, help="Print the console instead.")
@click.pass_obj
def logs(
    operator: Operator, vm_cid: str, *, follow: bool, lines: int, console: bool
) -> None:
    """Print what a VM's services log: the journal, or the files of the agent and jobs."""
    if console:
        _show_console(operator, vm_cid, lines, follow=follow)
        return
    from runc_cpi.ctl.logs import show_logs

    show_logs(operator, vm_cid, lines, follow=follow)


@vm.command()
@vm_argument
@follow_option
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    help="Begin with the last so many lines, and not with 1 MiB.",
)
@click.pass_obj
def console(operator: Operator, vm_cid: str, *, follow: bool, lines: int | None) -> None:
    """Print what a VM wrote to its console."""
    _show_console(operator, vm_cid, lines, follow=follow)


def _show_console(
    operator: Operator, vm_cid: str, lines: int | None, *, follow: bool
) -> None:
    from runc_cpi.ctl.console import show_console

    show_console(operator.config.work_dir / "vms" / vm_cid, lines, follow=follow)


def _command_of(
    ctx: click.Context, param: click.Parameter, argv: tuple[str, ...]
) -> tuple[str, ...]:
    """
    Return a command without the C{--} that may stand before it.

    @raise click.MissingParameter: if there is nothing else.
    """
    # click leaves it there after the first argument, when no options may follow.
    command = argv[1:] if argv[:1] == ("--",) else argv
    if not command:
        raise click.MissingParameter(ctx=ctx, param=param)
    return command


@vm.command(name="exec", context_settings=LAST_OPTIONS)
@vm_argument
@click.argument("argv", metavar="COMMAND...", nargs=-1, required=True, callback=_command_of)
@click.pass_obj
def execute(operator: Operator, vm_cid: str, argv: tuple[str, ...]) -> None:
    """Run a command inside a VM, as root.  A -- may stand before it."""
    _become(operator, vm_cid, argv)


@vm.command()
@vm_argument
@click.pass_obj
def shell(operator: Operator, vm_cid: str) -> None:
    """Open a shell inside a VM, as root."""
    _become(operator, vm_cid, ("/bin/sh",))


def _become(operator: Operator, vm_cid: str, inside: Sequence[str]) -> None:
    """
    Become the runtime's C{exec}.

    @raise click.ClickException: if the VM does not run here, or this is not root.
    """
    # A runtime itself says no more than that there is no container.
    first_process(operator, vm_cid)
    at_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    options = ["--tty"] if at_terminal else []
    argv = runtime(operator, "exec", *options, vm_cid, *inside)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        raise click.ClickException(f"{argv[0]}: {error.strerror}") from None


def _switch(name: str, asking: str, done: str, help_text: str) -> click.Command:
    """Return a command that has the daemon do something to a VM."""

    @click.command(name, help=help_text)
    @vm_argument
    @output_option
    @click.pass_obj
    def switch(operator: Operator, vm_cid: str) -> None:
        operator.ask(asking, vm_cid=vm_cid)
        answer: dict[str, Any] = {done: vm_cid}
        operator.show(answer, lambda: click.echo(f"{done} {vm_cid}"))

    return switch


for command in (
    _switch("start", "StartVM", "started", "Boot a VM that is down."),
    _switch("stop", "StopVM", "stopped", "Stop a VM, which stays down until its start."),
    _switch("reboot", "RebootVM", "rebooted", "Stop a VM if it runs, and boot it again."),
    VMDeletion().command(),
):
    vm.add_command(command)
