"""Directories that are being made or removed, out of the sight of calls."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.base.concurrency import side_by_side
from runc_cpi.daemon.base.repairs import PRUNED, Repairs
from runc_cpi.daemon.storage import drafts
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.interfaces import ITrees


class Scratch:
    """
    The C{scratch/} of a C{work_dir}.

    What cannot be removed, because its disk fails for example, stays there; L{sweep}
    tries again.
    """

    log = Logger()

    def __init__(self, depot: Depot, trees: ITrees) -> None:
        self._directory, self._trees = depot.scratch, trees
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
        Take a directory out of its place in one step, and then remove it.

        @raise OSError: if it cannot be taken out; it is whole and in its place then.
        """
        await self.discard(await deferToThread(drafts.set_aside, place, self._directory))

    async def discard(self, path: Path) -> None:
        """Remove a directory that is in scratch; if that fails, it is only logged."""
        self._in_use.add(path)
        try:
            await self._trees.remove(path)
        except Exception as error:
            self.log.error(
                "cannot remove {path}: {error}", path=str(path), error=str(error)
            )
        finally:
            self._in_use.discard(path)

    async def sweep(self, repairs: Repairs) -> None:
        """
        Remove what nothing uses: a crash left it, or its removal failed.

        All are removed side by side, so one that takes long holds up no other.
        """
        left = sorted(set(self._directory.iterdir()) - self._in_use)
        await side_by_side(*(self._sweep(path, repairs) for path in left))

    async def _sweep(self, path: Path, repairs: Repairs) -> None:
        self._in_use.add(path)
        with repairs.attempt(f"cannot remove {path}", happened=PRUNED):
            await self._trees.remove(path)
            repairs.did(f"removed {path}, which was not finished", happened=PRUNED)
        self._in_use.discard(path)
