"""How much of the host's file system is promised to disks, and how much may be."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from twisted.logger import Logger

from runc_cpi.daemon.disks.interfaces import IDiskDriver
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.errors import NoDiskSpace

MEBIBYTE = 1 << 20
TIGHT = 0.8


class Room:
    """
    Keeps account of the room for disks.

    A disk is promised its size, whether it is written to yet or not.

    @param overcommit: how much may be promised, for each byte that is free.
    @param sizes: returns the MiB of each disk on record, by its directory.
    """

    log = Logger()

    def __init__(
        self,
        depot: Depot,
        driver: IDiskDriver,
        overcommit: float,
        sizes: Callable[[], Mapping[Path, int]],
    ) -> None:
        self._depot, self._driver, self._overcommit = depot, driver, overcommit
        self._sizes = sizes
        self._in_the_making: dict[Path, int] = {}
        self._was_tight = False

    def check(self, wanted: int) -> None:
        """
        See whether so much more may be promised.

        @param wanted: MiB.
        @raise NoDiskSpace: if not.
        """
        promised, limit = wanted * MEBIBYTE + self._to_come(), self._limit()
        if promised > limit:
            raise NoDiskSpace(
                f"{wanted} MiB are wanted; with what disks may still grow "
                f"by, that makes {promised // MEBIBYTE} MiB, and "
                f"{limit // MEBIBYTE} MiB may be promised on this host "
                "(disks.overcommit)"
            )
        self._warn(promised, limit)

    @contextmanager
    def promised(self, path: Path, size: int) -> Iterator[None]:
        """
        Have others see what is promised to C{path} while it is not on record.

        @param size: MiB, with what is on record.
        """
        self._in_the_making[path] = size
        try:
            yield
        finally:
            del self._in_the_making[path]

    def watch(self) -> None:
        """Warn, once, when what is promised comes near what there is."""
        self._warn(self._to_come(), self._limit())

    def _warn(self, promised: int, limit: int) -> None:
        tight = promised > limit * TIGHT
        if tight and not self._was_tight:
            self.log.warn(
                "room gets tight: disks may still grow by {promised} MiB of {limit} MiB",
                promised=promised // MEBIBYTE,
                limit=limit // MEBIBYTE,
            )
        self._was_tight = tight

    def _limit(self) -> int:
        """Return how many bytes may be promised in all."""
        room = os.statvfs(self._depot.work_dir)
        return int(room.f_bavail * room.f_frsize * self._overcommit)

    def _to_come(self) -> int:
        """Return how many bytes all disks may still take beyond what they do now."""
        total = 0
        if self._driver.keeps_to_sizes:
            for path, size in {**self._sizes(), **self._in_the_making}.items():
                total += max(0, size * MEBIBYTE - self._taken(path))
        for bundle in self._depot.vms.iterdir():
            if bundle not in self._in_the_making:
                total += self._driver.ephemeral_room(bundle)
        return total

    def _taken(self, path: Path) -> int:
        try:
            taken: int = self._driver.allocated(path)
        except OSError:
            return 0  # it is only just being made
        return taken
