"""C{runc-cpictl}: what runs on this host, and a way into it."""

from __future__ import annotations

import io
import json
import sys
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
from runc_cpi.cpi.config import CPIConfig
from runc_cpi.cpi.tls import rejection
from runc_cpi.ctl import target
from runc_cpi.ctl.certs import Certs
from runc_cpi.ctl.command import Command, DaemonCommand, HostCommand, LocalCommand
from runc_cpi.ctl.connection import endpoint
from runc_cpi.ctl.console import KEPT, Console
from runc_cpi.ctl.daemon import Ping, Repair
from runc_cpi.ctl.disks import DeleteDisk, Disks, ResizeDisk
from runc_cpi.ctl.networks import DeleteNetwork, Networks
from runc_cpi.ctl.snapshots import DeleteSnapshot, Snapshots
from runc_cpi.ctl.stemcells import DeleteStemcell, Stemcells
from runc_cpi.ctl.vms import DeleteVM, Exec, VMs
from runc_cpi.daemon.config import ConfigError, DaemonConfig, load
from runc_cpi.errors import CPIError
from runc_cpi.printable import printable

DEFAULT_CONFIG = "/etc/runc-cpid/config.yml"
# In the order of --help.
COMMANDS: list[type[Command]] = [
    *(Certs, Ping, VMs, Disks, Stemcells, ResizeDisk, Snapshots, Networks),
    *(DeleteVM, DeleteDisk, DeleteStemcell, DeleteSnapshot, DeleteNetwork),
    *(Repair, Console, Exec),
]


class Options(usage.Options):
    """
    The command line.

    @ivar daemon: the daemon's configuration, unless the command is a L{LocalCommand}.
    @ivar cpi: how to reach the daemon, if the command is a L{DaemonCommand}.
    """

    synopsis = "Usage: runc-cpictl [--config FILE | --cpi FILE] [--json] COMMAND"
    optParameters = [
        ["config", "c", DEFAULT_CONFIG, "the daemon's configuration file"],
        ["cpi", None, None, "a CPI's configuration file, to reach the daemon as it does"],
    ]
    optFlags = [["json", "j", "print JSON"]]
    subCommands = [[command.name, None, command, command.summary] for command in COMMANDS]
    daemon: DaemonConfig
    cpi: CPIConfig

    def opt_version(self) -> None:
        """Print the version."""
        print(f"runc-cpictl {__version__}")
        sys.exit(0)

    def postOptions(self) -> None:
        """Read the daemon's configuration; without a file it is all defaults."""
        if self.subCommand is None:
            raise usage.UsageError("a command is missing")
        if isinstance(self.subOptions, LocalCommand):
            return
        path = Path(self["config"])
        try:
            if path.exists() or self["config"] != DEFAULT_CONFIG:
                self.daemon = load(path)
            else:
                self.daemon = DaemonConfig.parse(None)
            if self["cpi"] is not None:
                self.cpi = target.of_cpi(self["cpi"])
            elif isinstance(self.subOptions, DaemonCommand):
                self.cpi = target.of_daemon(self.daemon)
        except (ConfigError, CPIError) as error:
            raise usage.UsageError(str(error)) from None


async def ask(reactor: Any, options: Options) -> None:
    """Have the daemon carry out the command, and print what it says."""
    command: DaemonCommand = options.subOptions
    address = options.cpi.address
    try:
        peer = await connectProtocol(endpoint(reactor, options.cpi), amp.AMP())
        answer = await command.ask(peer)
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
    print(json.dumps(answer) if options["json"] else command.text(answer))


def main() -> None:
    """Run the tool."""
    # Whatever the locale: what cannot be shown is spelled out.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    options = Options()
    try:
        options.parseOptions()
    except usage.UsageError as error:
        sys.exit(f"runc-cpictl: {error}\nTry runc-cpictl --help.")
    command = options.subOptions
    if isinstance(command, LocalCommand):
        command.run()
    elif isinstance(command, HostCommand):
        command.run(options.daemon)
    else:
        react(ask, [options])


if __name__ == "__main__":
    main()
