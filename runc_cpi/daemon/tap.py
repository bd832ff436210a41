"""What C{twistd} needs to know of the daemon: its options, and how to make it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from twisted.python import usage

from runc_cpi.daemon.config import ConfigError, DaemonConfig, load
from runc_cpi.daemon.daemon import Daemon
from runc_cpi.daemon.host import requirements


class Options(usage.Options):
    """The plugin's own options; all else is in the configuration file."""

    synopsis = "--config FILE"
    longdesc = "Run BOSH VMs as runc containers on this host."
    optParameters = [["config", "c", None, "the YAML configuration file"]]
    config: DaemonConfig

    def postOptions(self) -> None:
        """Read the configuration; what is wrong with it ends the program."""
        if self["config"] is None:
            _refuse("--config: missing; give the path of a YAML file")
        try:
            # Before twistd tries to write its pid file.
            requirements.check_root()
            self.config = load(Path(self["config"]))
        except (requirements.HostUnfit, ConfigError) as error:
            _refuse(str(error))


def _refuse(reason: str) -> NoReturn:
    """End the program with one line on stderr and status 1."""
    sys.exit(f"runc-cpid: {reason}")


def makeService(options: Options, reactor: Any = None) -> Daemon:
    """Make the service that C{twistd} runs."""
    if reactor is None:
        from twisted.internet import reactor
    # Twisted goes by the time of day: when that is set, timers would fire or hang.
    reactor.seconds = time.monotonic
    return Daemon(reactor, options.config, options.parent or {})
