"""Directories that are being made or removed, out of the sight of calls."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from runc_cpi.daemon.base.calls import spanned
from runc_cpi.daemon.base.concurrency import side_by_side
from runc_cpi.daemon.base.repairs import PRUNED, Repairs
from runc_cpi.daemon.storage import drafts
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.early_syncs import EarlySyncs, free_room, open_directory
from runc_cpi.daemon.storage.interfaces import ITrees
from runc_cpi.daemon.storage.reaper import Reaper

# What an unpacked stemcell may take.
SCANTY = 4 << 30  # bytes


class Scratch:
    """
    The C{scratch/} of a C{work_dir}.

    What cannot be removed, because its disk fails for example, stays there; L{sweep}
    tries again.

    @param reactor: provides C{IReactorTime}.
    @param reaper: removes what nobody waits for.
    """

    log = Logger()

    def __init__(self, reactor: Any, depot: Depot, trees: ITrees, reaper: Reaper) -> None:
        self._directory, self._trees, self._reaper = depot.scratch, trees, reaper
        # What is being made or removed now, so that a sweep leaves it alone.
        self._in_use: set[Path] = set()
        # What of that is no rubbish, each with a descriptor of it.
        self._in_the_making: dict[Path, int] = {}
        self._early_syncs = EarlySyncs(reactor, self._directory, trees)

    def new(self) -> Path:
        """
        Make a directory for something that is not whole yet.

        The caller has to L{publish} or to L{discard} it.

        @raise OSError: if it cannot be made.
        """
        draft = drafts.new_draft(self._directory)
        try:
            self._in_the_making[draft] = open_directory(draft)
        except OSError:
            draft.rmdir()
            raise
        self._in_use.add(draft)
        return draft

    def rubbish(self) -> int:
        """Count what takes room and is to be removed, also what could not be removed."""
        there = len(set(self._directory.iterdir()) - set(self._in_the_making))
        # What removed the last file may not have ended yet.
        return max(there, self._reaper.backlog)

    async def make_room(self) -> None:
        """Wait for removals while little room is left, and they may make more."""
        with self._reaper.waiting() as deadline:
            while self._is_scanty() and await self._reaper.frees(deadline):
                continue

    def _is_scanty(self) -> bool:
        return free_room(self._directory) < SCANTY

    def begin_sync(self, draft: Path) -> None:
        """Have what comes into a directory go to its disk meanwhile; L{sync} ends that."""
        self._early_syncs.begin(draft)

    @spanned("sync")
    async def sync(self, draft: Path) -> None:
        """
        Wait until all that is in a directory of L{new} is on its disk.

        It is synced by the descriptor that is open since it was made: so the kernel tells
        of each failure since then, whoever synced meanwhile (syncfs(2)).

        @raise CloudError: if the file system cannot be written, or could not meanwhile.
        """
        self._early_syncs.end(draft)
        await self._trees.sync(self._in_the_making[draft])

    @spanned("publish")
    async def publish(self, draft: Path, place: Path) -> None:
        """
        Have a directory that is whole appear at C{place}; a power cut does not undo that.

        @raise OSError: if that is not possible.
        """
        await deferToThread(drafts.publish, draft, place)
        self._in_use.discard(draft)
        self._let_go(draft)

    async def remove(self, place: Path) -> None:
        """
        Take a directory out of its place in one step; it is removed after that.

        A power cut does not put it back.

        @raise OSError: if it cannot be taken out; it is whole and in its place then.
        """
        await self._set_aside(place, lasting=True)

    async def clear(self, place: Path) -> None:
        """
        Do the same with a directory without a record.

        A power cut may put it back; a start finds that it has no record, and removes it.

        @raise OSError: if it cannot be taken out.
        """
        await self._set_aside(place, lasting=False)

    @spanned("set aside")
    async def _set_aside(self, place: Path, *, lasting: bool) -> None:
        trash = drafts.new_trash(self._directory)
        # Before it is there: no sweep removes what may yet be put back.
        self._in_use.add(trash)
        try:
            await deferToThread(drafts.set_aside, place, trash, lasting=lasting)
        except BaseException:
            self._in_use.discard(trash)
            raise
        self.drop(trash)

    def drop(self, path: Path) -> None:
        """Have a directory that is in scratch removed; if that fails, it is only logged."""
        self._give_up(path)
        removal = self._reaper.remove(partial(self._remove, path))
        removal.addErrback(self._failed, path)
        removal.addBoth(lambda _: self._in_use.discard(path))

    def _give_up(self, path: Path) -> None:
        self._in_use.add(path)
        self._let_go(path)

    def _let_go(self, path: Path) -> None:
        self._early_syncs.end(path)
        directory = self._in_the_making.pop(path, None)
        if directory is not None:
            os.close(directory)

    async def _remove(self, path: Path) -> None:
        """Remove something; all else goes first, unless room is wanted."""
        is_urgent = self._reaper.is_awaited or self._is_scanty()
        await self._trees.remove(path, idle=not is_urgent)

    def _failed(self, reason: Failure, path: Path) -> None:
        if not reason.check(CancelledError):
            self.log.error(
                "cannot remove {path}: {error}",
                path=str(path),
                error=reason.getErrorMessage(),
            )

    async def discard(self, path: Path) -> None:
        """Remove a directory that is in scratch now; if that fails, it is only logged."""
        self._give_up(path)
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
        try:
            with repairs.attempt(f"cannot remove {path}", happened=PRUNED):
                await self._reaper.remove(partial(self._remove, path))
                repairs.did(f"removed {path}, which was not finished", happened=PRUNED)
        except CancelledError:
            return  # the daemon stops, and the next start sweeps
        finally:
            self._in_use.discard(path)
