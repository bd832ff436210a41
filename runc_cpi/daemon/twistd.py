"""What twistd leaves to its services: how to log, and how to end when a start fails."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from twisted.logger import ILogObserver
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile

from runc_cpi.daemon.base import log

BACKGROUND_LOG = "twistd.log"


def set_log(application: Any, options: Mapping[str, Any], log_format: str) -> None:
    """
    Have twistd log as configured, unless its own options say otherwise.

    @param application: the service's parent; anything but an application is left alone.
    @param options: twistd's own.
    @param log_format: C{text} or C{json}.
    """
    if not isinstance(application, Componentized) or options.get("syslog"):
        return
    name = options.get("logfile")
    if not name and not options.get("nodaemon"):
        name = BACKGROUND_LOG  # as twistd does: stdout leads nowhere then
    stream = LogFile.fromFullPath(name) if name and name != "-" else sys.stdout
    application.setComponent(ILogObserver, log.observer(stream, log_format))


def refuse(error: Exception, options: Mapping[str, Any]) -> NoReturn:
    """
    End the program with one line on stderr and status 1.

    @raise Exception: C{error}, in the background, where twistd tells its first process.
    """
    if options.get("statusPipe") is not None:
        raise error
    # twistd logs what goes to sys.stderr, and leaves its pid file behind.
    print(f"runc-cpid: {error}", file=sys.__stderr__)
    if options.get("pidfile"):
        Path(options["pidfile"]).unlink(missing_ok=True)
    sys.exit(1)
