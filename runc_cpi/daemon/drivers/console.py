"""Keeps the console logs of VMs from growing without bound."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.drivers.flags import clear_file

LIMIT = 1 << 20
INTERVAL = 1.0
CONSOLE = "console.log"
OLD_CONSOLE = "console.log.1"


class ConsoleKeeper(Service):
    """
    Every so often moves what is too long to C{console.log.1}, over what was there.

    The VM holds the file open and appends, so it is copied and cut, not renamed.

    @param vms: the directory of the VMs' directories.
    """

    log = Logger()

    def __init__(self, reactor: Any, vms: Path) -> None:
        self._vms = vms
        self._loop = LoopingCall(self._round)
        self._loop.clock = reactor

    def startService(self) -> None:
        """Begin the rounds."""
        super().startService()
        self._loop.start(INTERVAL, now=False)

    def stopService(self) -> None:
        """End the rounds."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()

    def _round(self) -> Deferred[None]:
        done = deferToThread(trim_all, self._vms)
        done.addErrback(lambda failure: self.log.failure("cannot trim", failure))
        return done


def trim_all(vms: Path) -> None:
    """Trim the console of every VM."""
    for console in vms.glob(f"*/{CONSOLE}"):
        trim(console)


def trim(console: Path) -> None:
    """Move a console log that is longer than L{LIMIT} aside."""
    try:
        if console.stat().st_size > LIMIT:
            with console.open("rb") as file:
                file.seek(-LIMIT, os.SEEK_END)
                with console.with_name(OLD_CONSOLE).open("wb") as old:
                    shutil.copyfileobj(file, old)
            os.truncate(console, 0)
    except PermissionError:
        clear_file(console)  # the VM made it immutable; the next round will do
    except FileNotFoundError:
        return  # the VM was deleted meanwhile
