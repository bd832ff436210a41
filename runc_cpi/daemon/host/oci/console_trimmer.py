"""Keeps the consoles of VMs short: what is too long is moved aside."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.host.files.flags import clear_file
from runc_cpi.daemon.storage.bundle import Bundle

LIMIT = 1 << 20  # bytes
INTERVAL = 1.0  # seconds


class ConsoleTrimmer(Service):
    """
    Looks at the consoles of VMs every L{INTERVAL} seconds, and trims those that are long.

    It knows the consoles that there were at its start, and those that it was told of
    since.  It forgets a console when the VM's directory is gone.

    @param vms: the directory of the VMs' directories.
    """

    log = Logger()

    def __init__(self, reactor: Any, vms: Path) -> None:
        self._vms = vms
        self._known: set[Path] = set()
        self._failing: set[Path] = set()
        self._loop = LoopingCall(self._round)
        self._loop.clock = reactor

    def startService(self) -> None:
        """Find the consoles that there are, and look at them from then on."""
        super().startService()
        finding = deferToThread(find_consoles, self._vms)
        finding.addCallback(self._known.update)
        finding.addErrback(
            lambda failure: self.log.failure("cannot find the consoles of VMs", failure)
        )
        self._loop.start(INTERVAL, now=False)

    def stopService(self) -> None:
        """End the rounds."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()

    def add(self, bundle: Bundle) -> None:
        """Look at the console of a VM from now on, until its directory is gone."""
        self._known.add(bundle.console)

    def _round(self) -> Deferred[None]:
        done = Deferred.fromCoroutine(self._trim())
        done.addErrback(lambda failure: self.log.failure("cannot trim", failure))
        return done

    async def _trim(self) -> None:
        if not self._known:
            return
        errors = await deferToThread(trim_all, list(self._known))
        gone = {
            path for path, error in errors.items() if isinstance(error, FileNotFoundError)
        }
        self._known -= gone
        self._complain({path: errors[path] for path in errors.keys() - gone})

    def _complain(self, errors: Mapping[Path, OSError]) -> None:
        """Log what failed, once; the next round tries again."""
        for console in errors.keys() - self._failing:
            self.log.error(
                "cannot trim {console}: {error}",
                console=str(console),
                error=str(errors[console]),
            )
        self._failing = set(errors)


def find_consoles(vms: Path) -> list[Path]:
    """
    Return the consoles of all VMs.

    @param vms: the directory of the VMs' directories.
    @raise OSError: if it cannot be read.
    """
    bundles = [Bundle(path) for path in vms.iterdir()]
    return [bundle.console for bundle in bundles if bundle.console.exists()]


def trim_all(consoles: Iterable[Path]) -> dict[Path, OSError]:
    """
    Trim consoles.

    @return: what went wrong, by the console: C{FileNotFoundError} if its VM was deleted.
    """
    errors: dict[Path, OSError] = {}
    for console in consoles:
        try:
            trim(console)
        except FileNotFoundError as error:
            # A VM that was not booted since the host was has no console, but will again.
            if not console.parent.exists():
                errors[console] = error
        except OSError as error:
            errors[console] = error
    return errors


def trim(console: Path) -> None:
    """
    Move a console that is longer than L{LIMIT} aside, over what was there.

    The VM holds the file open and appends, so it is copied and cut, not renamed.

    @raise OSError: if it cannot be moved; it is cut short all the same, if it can be.
    """
    if console.stat().st_size <= LIMIT:
        return
    try:
        # The VM may have a lease on it, which whoever opens it would wait for (fcntl(2)).
        with open(_opened(console, os.O_RDONLY), "rb") as file:
            file.seek(-LIMIT, os.SEEK_END)
            with Bundle(console.parent).old_console.open("wb") as old:
                old.write(file.read(LIMIT))
    finally:
        _empty(console)


def _empty(console: Path) -> None:
    try:
        fd = _opened(console, os.O_WRONLY)
    except PermissionError:
        # The VM, whose output it is, made it immutable; what leads there is ours.
        clear_file(console.resolve())
        fd = _opened(console, os.O_WRONLY)
    try:
        os.truncate(fd, 0)
    finally:
        os.close(fd)


def _opened(console: Path, flags: int) -> int:
    return os.open(console, flags | os.O_NONBLOCK | os.O_CLOEXEC)
