"""The command line of C{runc-cpictl}: its commands, and the options that all share."""

from __future__ import annotations

from importlib import import_module

import click

from runc_cpi import __version__
from runc_cpi.ctl.operator import Operator, output_option

# By name, in the order of --help: the module that has it, named as its function is.
COMMANDS = {
    "ping": "daemon",
    "status": "daemon",
    "vms": "vms",
    "vm": "vm",
    "disks": "disks",
    "disk": "disks",
    "snapshots": "snapshots",
    "snapshot": "snapshots",
    "stemcells": "stemcells",
    "stemcell": "stemcells",
    "networks": "networks",
    "network": "networks",
    "ports": "ports",
    "leases": "ports",
    "events": "events",
    "calls": "events",
    "cp": "copying",
    "prune": "prune",
    "repair": "daemon",
    "doctor": "doctor",
    "config": "configuration",
    "certs": "certs",
    "director": "director.commands",
    "completion": "completion",
    "version": "daemon",
}


class Commands(click.Group):
    """The commands, each of which is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a name, or L{None} if there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"runc_cpi.ctl.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c",
    "--config",
    metavar="FILE",
    help=f"The daemon's configuration.  [default: {Operator.config_file}]",
)
@click.option(
    "--cpi", metavar="FILE", help="A CPI's configuration, to reach the daemon as it does."
)
@output_option
@click.version_option(__version__, prog_name="runc-cpictl", message="%(prog)s %(version)s")
@click.pass_context
def tool(ctx: click.Context, config: str | None, cpi: str | None) -> None:
    """See what runs on this host, and put it right."""
    operator = ctx.ensure_object(Operator)
    operator.config_file = config or operator.config_file
    operator.cpi_file = cpi
