"""How much of the host's file system is promised to disks, and how much may be."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from twisted.internet.defer import DeferredLock
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.base.calls import spanned
from runc_cpi.daemon.base.units import MEBIBYTE
from runc_cpi.daemon.disks.interfaces import IDiskDriver
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.reaper import Reaper
from runc_cpi.errors import NoDiskSpace

TIGHT = 0.8  # of what may be promised


@dataclass(frozen=True, kw_only=True)
class Account:
    """
    How much room there is, in bytes.

    @ivar free: in the host's file system.
    @ivar promised: what disks may still grow by.
    @ivar limit: how much may be promised in all.
    """

    free: int
    promised: int
    limit: int


class Room:
    """
    Keeps account of the room for disks.

    A disk is promised its size, whether it is written to yet or not; what it may still
    grow by is its size without what it takes.  The sum of that is kept as disks come and
    go.  What files take changes as VMs write: that is measured in a thread, by L{watch},
    and before anything is refused or warned of.

    What was deleted takes room until it is removed.  It is not free before, and so nothing
    is refused while a removal may still make room.

    @param overcommit: how much may be promised, for each byte that is free.
    @param reaper: removes what was deleted.
    """

    log = Logger()

    def __init__(
        self, depot: Depot, driver: IDiskDriver, overcommit: float, reaper: Reaper
    ) -> None:
        self._depot, self._driver, self._overcommit = depot, driver, overcommit
        self._reaper = reaper
        # Bytes, by the directories of disks, snapshots and VMs.
        self._recorded: dict[Path, int] = {}
        self._in_the_making: dict[Path, int] = {}
        self._taken: dict[Path, int] = {}
        self._ephemeral: set[Path] = set()
        self._left = _Sum()
        self._measuring = DeferredLock()
        self._is_measured = False
        self._was_tight = False

    @spanned("room")
    async def check(self, wanted: int) -> None:
        """
        Check whether so much more may be promised.

        Whoever then promises it does so at once: before anything else is awaited.

        @param wanted: MiB.
        @raise NoDiskSpace: if not.
        """
        more = wanted * MEBIBYTE
        if not self._is_measured or self._would_tell(more):
            await self._measure()
        with self._reaper.waiting() as deadline:
            while self._exceeds(more) and await self._reaper.frees(deadline):
                await self._measure()
        promised, limit = more + self._left.total, self._limit()
        if promised > limit:
            raise NoDiskSpace(
                f"{wanted} MiB are wanted; with what disks may still grow "
                f"by, that makes {promised // MEBIBYTE} MiB, and "
                f"{limit // MEBIBYTE} MiB may be promised on this host "
                "(disks.overcommit)"
            )
        self._warn(promised, limit)

    def _exceeds(self, more: int) -> bool:
        """Say whether so many more bytes are more than may be promised."""
        return more + self._left.total > self._limit()

    def _would_tell(self, more: int) -> bool:
        """Say whether so many more bytes would be refused, or lead to a warning."""
        promised, limit = more + self._left.total, self._limit()
        return promised > limit or (promised > limit * TIGHT and not self._was_tight)

    @contextmanager
    def promised(self, path: Path, size: int) -> Iterator[None]:
        """
        Promise something to C{path} while it is not on record.

        @param size: MiB, with what is on record.
        """
        self._in_the_making[path] = size * MEBIBYTE
        self._count(path)
        try:
            yield
        finally:
            del self._in_the_making[path]
            self._count(path)

    def record(self, path: Path, size: int) -> None:
        """
        Count a disk that is on record.

        @param size: MiB.
        """
        self._recorded[path] = size * MEBIBYTE
        self._count(path)

    def record_ephemeral(self, bundle: Path, size: int) -> None:
        """
        Count a VM's ephemeral disk, until a measurement finds it gone.

        @param size: MiB.
        """
        self._ephemeral.add(bundle)
        self._left.put(bundle, size * MEBIBYTE if self._driver.keeps_to_sizes else 0)

    def forget(self, path: Path) -> None:
        """Do not count a disk any more."""
        self._recorded.pop(path, None)
        self._count(path)

    async def watch(self) -> None:
        """
        Look at what files take by now, and warn when little more may be promised.

        The warning is logged once each time that room gets tight.

        @raise OSError: if the files cannot be looked at.
        """
        await self._measure()
        self._warn(self._left.total, self._limit())

    def _warn(self, promised: int, limit: int) -> None:
        tight = promised > limit * TIGHT
        if tight and not self._was_tight:
            self.log.warn(
                "room gets tight: disks may still grow by {promised} MiB of {limit} MiB",
                promised=promised // MEBIBYTE,
                limit=limit // MEBIBYTE,
            )
        self._was_tight = tight

    def account(self) -> Account:
        """
        Return how much room there is by what is known.  This may block.

        @raise OSError: if the file system cannot be looked at.
        """
        promised = self._left.total
        free = self._free()
        return Account(free=free, promised=promised, limit=int(free * self._overcommit))

    def taken(self, path: Path) -> int | None:
        """Return how many bytes a disk took when that was last measured, if it was."""
        return self._taken.get(path)

    def _limit(self) -> int:
        """Return how many bytes may be promised in all."""
        return int(self._free() * self._overcommit)

    def _free(self) -> int:
        room = os.statvfs(self._depot.work_dir)
        return room.f_bavail * room.f_frsize

    def _count(self, path: Path) -> None:
        """Count anew what a disk may still grow by, after its size or content changed."""
        size = self._in_the_making.get(path, self._recorded.get(path))
        if size is None:
            self._taken.pop(path, None)
            self._left.drop(path)
        elif self._driver.keeps_to_sizes:
            self._left.put(path, max(0, size - self._taken.get(path, 0)))

    async def _measure(self) -> None:
        """Look in a thread at what files take by now; disks may come and go meanwhile."""
        async with self._measuring:
            disks, bundles = {*self._recorded, *self._in_the_making}, set(self._ephemeral)
            taken, ephemeral = await deferToThread(
                _measure, self._driver, disks, self._depot.vms
            )
            for path in taken.keys() & {*self._recorded, *self._in_the_making}:
                self._taken[path] = taken[path]
                self._count(path)
            for bundle in bundles - ephemeral.keys():
                self._ephemeral.discard(bundle)
                self._left.drop(bundle)
            for bundle in ephemeral.keys() - self._in_the_making.keys():
                self._ephemeral.add(bundle)
                self._left.put(bundle, ephemeral[bundle])
            self._is_measured = True


def _measure(
    driver: IDiskDriver, disks: Collection[Path], vms: Path
) -> tuple[dict[Path, int], dict[Path, int]]:
    """
    Look at all files, which blocks.

    @return: how many bytes each disk takes, and how many each VM's ephemeral disk may
        still grow by, if it may.
    """
    taken = {path: _taken(driver, path) for path in disks}
    left = {bundle: driver.ephemeral_room(bundle) for bundle in vms.iterdir()}
    return taken, {bundle: size for bundle, size in left.items() if size}


def _taken(driver: IDiskDriver, path: Path) -> int:
    try:
        taken: int = driver.allocated(path)
    except OSError:
        return 0  # it is only just being made
    return taken


class _Sum:
    """
    The sum of what is put, which is known at any time.

    @ivar total: the sum.
    """

    def __init__(self) -> None:
        self.total = 0
        self._values: dict[Path, int] = {}

    def put(self, path: Path, value: int) -> None:
        """Have a value in the sum, instead of an earlier one of C{path}."""
        self.drop(path)
        self._values[path] = value
        self.total += value

    def drop(self, path: Path) -> None:
        """Have no value of C{path} in the sum."""
        self.total -= self._values.pop(path, 0)
