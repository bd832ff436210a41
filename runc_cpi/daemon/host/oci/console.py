"""Where a VM's output goes, and how that is kept from growing without bound."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.host import namespaces
from runc_cpi.daemon.host.files.flags import clear_file

LIMIT = 1 << 20
INTERVAL = 1.0
CONSOLE = "console.log"
OLD_CONSOLE = "console.log.1"
# In a VM's directory: a file system for its console alone, of so many bytes.
PLACE = "console"
SIZE = 4 << 20


def open_console(bundle: Path) -> int:
    """
    Open, for appending, the file that a VM's output goes to.

    It is on a file system of its own: whatever the VM writes, with or without a daemon,
    takes L{SIZE} bytes at most.  After that it is told that there is no room, until the
    file is trimmed.

    @param bundle: the VM's directory, in which L{CONSOLE} will lead to the file.
    @raise OSError: if it cannot be made.
    """
    place, link = bundle / PLACE, bundle / CONSOLE
    place.mkdir(mode=0o700, exist_ok=True)
    if not os.path.ismount(place):
        namespaces.mount_memory(str(place), SIZE)
    if not link.is_symlink():
        link.unlink(missing_ok=True)  # of an earlier version, which had the file here
        link.symlink_to(Path(PLACE, CONSOLE))
    # Appending makes it safe to cut the file short while it is written to.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        return os.open(place / CONSOLE, flags, 0o600)
    except PermissionError:
        clear_file(place / CONSOLE)  # the VM, whose output it is, made it immutable
        return os.open(place / CONSOLE, flags, 0o600)


def close_console(bundle: Path) -> None:
    """Let the directory of a VM that ended be removed; it may have no console at all."""
    with suppress(OSError):
        namespaces.detach(str(bundle / PLACE))


class ConsoleTrimmer(Service):
    """
    Every so often moves what is too long to C{console.log.1}, over what was there.

    The VM holds the file open and appends, so it is copied and cut, not renamed.

    @param vms: the directory of the VMs' directories.
    """

    log = Logger()

    def __init__(self, reactor: Any, vms: Path) -> None:
        self._vms = vms
        self._failing: set[Path] = set()
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
        done = Deferred.fromCoroutine(self._trim())
        done.addErrback(lambda failure: self.log.failure("cannot trim", failure))
        return done

    async def _trim(self) -> None:
        self._complain(await deferToThread(trim_all, self._vms))

    def _complain(self, errors: dict[Path, OSError]) -> None:
        """Tell of what failed, once; the next round tries again."""
        for console in errors.keys() - self._failing:
            self.log.error(
                "cannot trim {console}: {error}",
                console=str(console),
                error=str(errors[console]),
            )
        self._failing = set(errors)


def trim_all(vms: Path) -> dict[Path, OSError]:
    """Trim the console of every VM; return what went wrong, by the console."""
    errors = {}
    for console in vms.glob(f"*/{CONSOLE}"):
        try:
            trim(console)
        except FileNotFoundError:
            continue  # the VM was deleted meanwhile, or was not booted since the host was
        except OSError as error:
            errors[console] = error
    return errors


def trim(console: Path) -> None:
    """
    Move a console log that is longer than L{LIMIT} aside.

    @raise OSError: if it cannot be moved; it is cut short all the same, if it can be.
    """
    if console.stat().st_size <= LIMIT:
        return
    try:
        # The VM may have a lease on it, which whoever opens it would wait for (fcntl(2)).
        with open(_opened(console, os.O_RDONLY), "rb") as file:
            file.seek(-LIMIT, os.SEEK_END)
            with console.with_name(OLD_CONSOLE).open("wb") as old:
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
