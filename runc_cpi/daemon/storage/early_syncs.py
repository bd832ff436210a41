"""Has what is being written go to its disk meanwhile, so that the last sync is short."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from runc_cpi.daemon.storage.interfaces import ITrees
from runc_cpi.errors import CloudError

# A kernel begins by itself only after 30 s, or once a tenth of the memory is to be written.
INTERVAL = 0.5  # seconds
# A sync writes what VMs wrote as well, so it must be worth it.
STEP = 32 << 20  # bytes


class EarlySyncs:
    """
    Syncs a file system now and then while drafts of it are filled: once for all of them.

    Every L{INTERVAL} it looks at the room that is free, and syncs if L{STEP} less is left
    than after the last sync.

    No failure is told.  The kernel tells of one by each descriptor that was open before,
    once, and here is a descriptor of its own (syncfs(2)): so each draft's last sync finds
    out by itself.

    @param reactor: provides C{IReactorTime}.
    @param directory: where drafts are made.
    """

    def __init__(self, reactor: Any, directory: Path, trees: ITrees) -> None:
        self._reactor, self._directory, self._trees = reactor, directory, trees
        self._drafts: set[Path] = set()
        self._loop: LoopingCall | None = None
        self._free = 0

    def begin(self, draft: Path) -> None:
        """Sync while a draft is filled, until L{end}."""
        self._drafts.add(draft)
        if self._loop is None:
            self._free = free_room(self._directory)
            # A new one each time: a sync of the last one may be under way.
            self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
            self._loop.clock = self._reactor
            self._loop.start(INTERVAL, now=False)

    def end(self, draft: Path) -> None:
        """Sync for this draft no more; it is no error if that did not begin."""
        self._drafts.discard(draft)
        if self._loop is not None and not self._drafts:
            self._loop.stop()
            self._loop = None

    async def _look(self) -> None:
        # What is removed meanwhile hides some of what is written.
        free = free_room(self._directory)
        self._free = max(free, self._free)
        if self._free - free < STEP:
            return
        self._free = free
        with suppress(CloudError, OSError):
            await self._sync()

    async def _sync(self) -> None:
        directory = open_directory(self._directory)
        try:
            await self._trees.sync(directory)
        finally:
            os.close(directory)


def free_room(path: Path) -> int:
    """
    Return how many bytes are free on the file system of a path.

    @raise OSError: if it does not tell.
    """
    room = os.statvfs(path)
    return room.f_bavail * room.f_frsize


def open_directory(path: Path) -> int:
    """
    Return a descriptor of a directory, with which its file system can be synced.

    @raise OSError: if it cannot be opened.
    """
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
