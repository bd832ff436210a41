"""What is being made and what is being removed, out of everybody's sight."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.base.concurrency import side_by_side
from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.interfaces import ITrees


class Scratch:
    """
    The depot's C{scratch/}.

    What could not be removed, on a failing disk say, is tried again by L{sweep}.
    """

    log = Logger()

    def __init__(self, depot: Depot, trees: ITrees) -> None:
        self._depot, self._trees = depot, trees
        self._in_use: set[Path] = set()

    def new(self) -> Path:
        """
        Make a directory for something that is not whole yet.

        Whoever makes it either has L{publish} move it away, or discards it.
        """
        path = self._depot.new_scratch()
        self._in_use.add(path)
        return path

    async def sync(self, path: Path) -> None:
        """
        Wait until all that is in C{path} is on its disk.

        @raise CloudError: if the file system cannot be written.
        """
        await self._trees.sync(path)

    async def publish(self, path: Path, place: Path) -> None:
        """
        Make something whole appear at C{place}, so that it outlives a power cut.

        @raise OSError: if that is not possible.
        """
        await deferToThread(self._depot.publish, path, place)
        self._in_use.discard(path)

    async def remove(self, place: Path) -> None:
        """
        Take a tree out of sight in one step, and then remove it.

        @raise OSError: if it cannot be taken out of sight; all of it is there then.
        """
        await self.discard(await deferToThread(self._depot.set_aside, place))

    async def discard(self, path: Path) -> None:
        """Remove what is here already; that this fails is only logged."""
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

        What cannot be removed, or takes long, is in nobody else's way.
        """
        left = sorted(set(self._depot.scratch.iterdir()) - self._in_use)
        await side_by_side(*(self._sweep(path, repairs) for path in left))

    async def _sweep(self, path: Path, repairs: Repairs) -> None:
        self._in_use.add(path)
        with repairs.attempt(f"cannot remove {path}"):
            await self._trees.remove(path)
            repairs.did(f"removed {path}, which was not finished")
        self._in_use.discard(path)
