"""C{runc-cpictl}: what runs on this host, and a way into it."""

from __future__ import annotations

import io
import os
import sys

import click

from runc_cpi.ctl.tool import tool
from runc_cpi.errors import CPIError, DaemonSilent, DaemonUnreachable
from runc_cpi.printable import printable

NAME = "runc-cpictl"
# What this program ends with; docs/operations.md tells users.
FAILED, MISUSED, UNREACHABLE = 1, 2, 3
KEPT = "\n\t"


def main() -> None:
    """Run the tool, and end with its status."""
    # Whatever the locale: what cannot be shown is spelled out.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        # Click returns the status that --help and --version exit with.
        status = tool.main(prog_name=NAME, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(MISUSED)
    except click.UsageError as error:
        hint = f"\nTry {error.ctx.command_path} --help." if error.ctx else ""
        _end(MISUSED, error.format_message() + hint)
    except click.ClickException as error:
        _end(FAILED, error.format_message())
    except click.Abort:
        _end(FAILED, "interrupted")
    except DaemonUnreachable as error:
        _end(UNREACHABLE, f"{error}\n{_way_on(error)}")
    except CPIError as error:
        _end(FAILED, str(error))
    sys.exit(status)


def _way_on(error: DaemonUnreachable) -> str:
    """Say what to do if the daemon cannot be reached."""
    if isinstance(error, DaemonSilent):
        return "As root on its host: systemctl restart runc-cpid; VMs go on running."
    if os.geteuid() != 0:
        return "Run this as root on its host, or give --cpi."
    return "runc-cpictl doctor says whether it runs; systemctl start runc-cpid starts it."


def _end(status: int, message: str) -> None:
    print(f"runc-cpictl: {printable(message, KEPT)}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
