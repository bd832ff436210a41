"""C{runc-cpictl}: what runs on this host, and a way into it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from service_identity.exceptions import VerificationError
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.task import react
from twisted.protocols import amp
from twisted.python import usage

from runc_cpi import __version__
from runc_cpi.cpi.tls import rejection
from runc_cpi.ctl import deletions, target
from runc_cpi.ctl.certs import CertsOptions, make_certificates
from runc_cpi.ctl.connection import endpoint
from runc_cpi.ctl.console import KEPT, ConsoleOptions, checked_vm_cid, show_console
from runc_cpi.daemon.config import ConfigError, DaemonConfig, load
from runc_cpi.daemon.rpc import commands
from runc_cpi.errors import CPIError
from runc_cpi.printable import printable

DEFAULT_CONFIG = "/etc/runc-cpid/config.yml"
# These need its configuration alone.
WITHOUT_DAEMON = ("console", "exec")


class _ResizeOptions(usage.Options):
    synopsis = "DISK_CID MIB"

    def parseArgs(self, disk_cid: str, size: str) -> None:  # type: ignore[override]
        """Take the disk and its new size."""
        if not size.isascii() or not size.isdigit():
            raise usage.UsageError(f"{size!r} is not a number of MiB")
        self["disk_cid"], self["size"] = disk_cid, int(size)


class _ExecOptions(usage.Options):
    synopsis = "[--] VM_CID [COMMAND [ARGUMENT...]]"

    def parseArgs(self, vm_cid: str, *argv: str) -> None:  # type: ignore[override]
        """Take the VM and what follows it."""
        self["vm_cid"], self["argv"] = checked_vm_cid(vm_cid), argv


class Options(usage.Options):
    """The command line."""

    synopsis = "Usage: runc-cpictl [--config FILE | --cpi FILE] [--json] COMMAND"
    optParameters = [
        ["config", "c", DEFAULT_CONFIG, "the daemon's configuration file"],
        ["cpi", None, None, "a CPI's configuration file, to reach the daemon as it does"],
    ]
    optFlags = [["json", "j", "print JSON"]]
    subCommands = [
        ["certs", None, CertsOptions, "make a CA and certificates for daemon and clients"],
        ["ping", None, usage.Options, "say whether the daemon is there"],
        ["vms", None, usage.Options, "list the VMs"],
        ["disks", None, usage.Options, "list the persistent disks"],
        ["stemcells", None, usage.Options, "list the stemcells"],
        ["resize-disk", None, _ResizeOptions, "make a disk larger, even while in use"],
        ["snapshots", None, usage.Options, "list the snapshots of disks"],
        *deletions.SUBCOMMANDS,
        ["repair", None, usage.Options, "put right what a crash or a hand left amiss"],
        ["console", None, ConsoleOptions, "print what a VM wrote to its console"],
        ["exec", None, _ExecOptions, "run a command, or a shell, inside a VM"],
    ]

    def opt_version(self) -> None:
        """Print the version."""
        print(f"runc-cpictl {__version__}")
        sys.exit(0)

    def postOptions(self) -> None:
        """Read the daemon's configuration; without a file it is all defaults."""
        if self.subCommand is None:
            raise usage.UsageError("a command is missing")
        if self.subCommand == "certs":
            return
        path = Path(self["config"])
        try:
            if path.exists() or self["config"] != DEFAULT_CONFIG:
                self.daemon = load(path)
            else:
                self.daemon = DaemonConfig.parse(None)
            if self["cpi"] is not None:
                self.cpi = target.of_cpi(self["cpi"])
            elif self.subCommand not in WITHOUT_DAEMON:
                self.cpi = target.of_daemon(self.daemon)
        except (ConfigError, CPIError) as error:
            raise usage.UsageError(str(error)) from None


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows in columns as wide as they need to be; no cell can forge a row."""
    lines = [list(headings), *([printable(cell, "") for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    template = "  ".join(f"{{:{width}}}" for width in widths)
    return "\n".join(template.format(*line).rstrip() for line in lines)


def vm_rows(vms: Sequence[dict[str, Any]]) -> str:
    """Format the VMs."""
    rows = [
        (
            vm["vm_cid"],
            "running" if vm["running"] else "stopped",
            ",".join(vm["addresses"]),
            str(vm["metadata"].get("name") or vm["agent_id"]),
        )
        for vm in vms
    ]
    return table(("VM", "STATE", "ADDRESS", "NAME"), rows)


def disk_rows(disks: Sequence[dict[str, Any]]) -> str:
    """Format the disks."""
    rows = [
        (
            disk["disk_cid"],
            f"{disk['size']} MiB",
            disk["filesystem"] if disk["driver"] == "image" else disk["driver"],
            disk["attached_to"] or "-",
            " ".join(f"{name}={value}" for name, value in disk["metadata"].items()),
        )
        for disk in disks
    ]
    return table(("DISK", "SIZE", "KIND", "ATTACHED TO", "METADATA"), rows)


def stemcell_rows(stemcells: Sequence[dict[str, Any]]) -> str:
    """Format the stemcells."""
    rows = [
        (
            stemcell["stemcell_cid"],
            stemcell["features"]["init"] or "unknown",
            str(stemcell["cloud_properties"].get("name", "")),
            str(stemcell["cloud_properties"].get("version", "")),
        )
        for stemcell in stemcells
    ]
    return table(("STEMCELL", "INIT", "NAME", "VERSION"), rows)


def snapshot_rows(snapshots: Sequence[dict[str, Any]]) -> str:
    """Format the snapshots."""
    names = ("snapshot_cid", "disk_cid", "created_at")
    rows = [[snapshot[name] for name in names] for snapshot in snapshots]
    return table(("SNAPSHOT", "DISK", "MADE"), rows)


def repair_lines(answer: dict[str, Any]) -> str:
    """Format what was put right, and what could not be."""
    texts = [*answer["done"], *(f"problem: {text}" for text in answer["problems"])]
    lines = [printable(text) for text in texts]
    done, problems = len(answer["done"]), len(answer["problems"])
    return "\n".join([*lines, f"{done} things put right, {problems} problems left"])


async def ask(reactor: Any, options: Options) -> None:
    """Ask the daemon, and print what it says."""
    address = options.cpi.address
    try:
        peer = await connectProtocol(endpoint(reactor, options.cpi), amp.AMP())
        text = await _answer(peer, options)
    except ConnectError as error:
        sys.exit(f"runc-cpictl: cannot reach runc-cpid at {address}: {error}")
    except VerificationError:
        sys.exit(
            f"runc-cpictl: the certificate of runc-cpid is not accepted: it is not for "
            f"{address}"
        )
    except SSL.Error as error:
        reasons = error.args[0] if error.args else ()
        reason = str(reasons[-1][-1]) if reasons else "no reason given"
        sys.exit(f"runc-cpictl: {rejection(reason)}")
    except ConnectionClosed as error:
        sys.exit(f"runc-cpictl: lost runc-cpid at {address} before it answered: {error}")
    except CPIError as error:
        sys.exit(f"runc-cpictl: {printable(str(error), KEPT)}")
    print(text)


async def _answer(peer: amp.AMP, options: Options) -> str:
    answer: dict[str, Any]
    command, given = options.subCommand, options.subOptions
    if command == "ping":
        answer = await peer.callRemote(commands.Ping)
        text = f"runc-cpid {answer['version']}"
    elif command == "vms":
        answer = await peer.callRemote(commands.ListVMs)
        text = vm_rows(answer["vms"])
    elif command == "disks":
        answer = await peer.callRemote(commands.ListDisks)
        text = disk_rows(answer["disks"])
    elif command == "snapshots":
        answer = await peer.callRemote(commands.ListSnapshots)
        text = snapshot_rows(answer["snapshots"])
    elif command in deletions.KINDS:
        answer = {"deleted": await deletions.delete(peer, command, given)}
        text = "\n".join(f"deleted {cid}" for cid in answer["deleted"])
    elif command == "resize-disk":
        disk_cid, size = given["disk_cid"], given["size"]
        answer = await peer.callRemote(commands.ResizeDisk, disk_cid=disk_cid, size=size)
        text = f"{disk_cid} has {size} MiB now"
    elif command == "repair":
        answer = await peer.callRemote(commands.Repair)
        text = repair_lines(answer)
    else:
        answer = await peer.callRemote(commands.ListStemcells)
        text = stemcell_rows(answer["stemcells"])
    return json.dumps(answer) if options["json"] else text


def execute(config: DaemonConfig, vm_cid: str, argv: Sequence[str]) -> None:
    """Become the runtime's C{exec}."""
    command = [config.runtime, "--root", str(config.work_dir / "runtime"), "exec"]
    if sys.stdin.isatty() and sys.stdout.isatty():
        command.append("--tty")
    command += [vm_cid, *(argv or ("/bin/sh",))]
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"runc-cpictl: {command[0]}: {error.strerror}")


def main() -> None:
    """Run the tool."""
    # Whatever the locale: what cannot be shown is spelled out.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    options = Options()
    try:
        options.parseOptions()
    except usage.UsageError as error:
        sys.exit(f"runc-cpictl: {error}\nTry runc-cpictl --help.")
    if options.subCommand == "certs":
        make_certificates(options.subOptions)
    elif options.subCommand == "console":
        given = options.subOptions
        directory = options.daemon.work_dir / "vms" / given["vm_cid"]
        show_console(directory, given["lines"], follow=bool(given["follow"]))
    elif options.subCommand == "exec":
        execute(options.daemon, options.subOptions["vm_cid"], options.subOptions["argv"])
    else:
        react(ask, [options])


if __name__ == "__main__":
    main()
