"""Directories that are being made or removed, out of the sight of calls."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from twisted.internet.defer import CancelledError
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from runc_cpi.daemon.base.concurrency import side_by_side
from runc_cpi.daemon.base.repairs import PRUNED, Repairs
from runc_cpi.daemon.storage import drafts
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.interfaces import ITrees
from runc_cpi.daemon.storage.reaper import Reaper

# What an unpacked stemcell may take.
SCANTY = 4 << 30  # bytes


class Scratch:
    """
    The C{scratch/} of a C{work_dir}.

    What cannot be removed, because its disk fails for example, stays there; L{sweep}
    tries again.

    @param reaper: removes what nobody waits for.
    """

    log = Logger()

    def __init__(self, depot: Depot, trees: ITrees, reaper: Reaper) -> None:
        self._directory, self._trees, self._reaper = depot.scratch, trees, reaper
        # What is being made or removed now, so that a sweep leaves it alone.
        self._in_use: set[Path] = set()

    def new(self) -> Path:
        """
        Make a directory for something that is not whole yet.

        The caller has to L{publish} or to L{discard} it.

        @raise OSError: if it cannot be made.
        """
        draft = drafts.new_draft(self._directory)
        self._in_use.add(draft)
        return draft

    async def make_room(self) -> None:
        """Wait for removals while little room is left, and they may make more."""
        while _free(self._directory) < SCANTY and await self._reaper.frees():
            continue

    async def sync(self, draft: Path) -> None:
        """
        Wait until all that is in a directory is on its disk.

        @raise CloudError: if the file system cannot be written.
        """
        await self._trees.sync(draft)

    async def publish(self, draft: Path, place: Path) -> None:
        """
        Have a directory that is whole appear at C{place}; a power cut does not undo that.

        @raise OSError: if that is not possible.
        """
        await deferToThread(drafts.publish, draft, place)
        self._in_use.discard(draft)

    async def remove(self, place: Path) -> None:
        """
        Take a directory out of its place in one step; it is removed after that.

        A power cut does not put it back.

        @raise OSError: if it cannot be taken out; it is whole and in its place then.
        """
        self.drop(await deferToThread(drafts.set_aside, place, self._directory))

    async def clear(self, place: Path) -> None:
        """
        Do the same with a directory without a record.

        A power cut may put it back; a start finds that it has no record, and removes it.

        @raise OSError: if it cannot be taken out.
        """
        set_aside = partial(drafts.set_aside, place, self._directory, lasting=False)
        self.drop(await deferToThread(set_aside))

    def drop(self, path: Path) -> None:
        """Have a directory that is in scratch removed; if that fails, it is only logged."""
        self._in_use.add(path)
        removal = self._reaper.remove(partial(self._trees.remove, path, idle=True))
        removal.addErrback(self._failed, path)
        removal.addBoth(lambda _: self._in_use.discard(path))

    def _failed(self, reason: Failure, path: Path) -> None:
        if not reason.check(CancelledError):
            self.log.error(
                "cannot remove {path}: {error}",
                path=str(path),
                error=reason.getErrorMessage(),
            )

    async def discard(self, path: Path) -> None:
        """Remove a directory that is in scratch now; if that fails, it is only logged."""
        self._in_use.add(path)
        try:
            await self._trees.remove(path)
        except Exception:
            self._failed(Failure(), path)
        finally:
            self._in_use.discard(path)

    async def sweep(self, repairs: Repairs) -> None:
        """
        Remove what nothing uses: a crash or a stop left it, or its removal failed.

        All are queued at once, behind what is being removed already.
        """
        left = sorted(set(self._directory.iterdir()) - self._in_use)
        await side_by_side(*(self._sweep(path, repairs) for path in left))

    async def _sweep(self, path: Path, repairs: Repairs) -> None:
        self._in_use.add(path)
        with repairs.attempt(f"cannot remove {path}", happened=PRUNED):
            await self._reaper.remove(partial(self._trees.remove, path, idle=True))
            repairs.did(f"removed {path}, which was not finished", happened=PRUNED)
        self._in_use.discard(path)


def _free(path: Path) -> int:
    """Return how many bytes are free on the file system of a path."""
    room = os.statvfs(path)
    return room.f_bavail * room.f_frsize
