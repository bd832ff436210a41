"""Snapshots: copies of what persistent disks held at some moment."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.base.locks import KeyedLock
from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.base.timestamps import now
from runc_cpi.daemon.base.units import MEBIBYTE
from runc_cpi.daemon.disks import paths
from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.disks.interfaces import IDiskDriver
from runc_cpi.daemon.disks.snapshot import Snapshot
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.loading import load_all
from runc_cpi.daemon.storage.records import write_record
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.errors import CloudError, InvalidArgument


class Snapshots:
    """All snapshots of this host."""

    log = Logger()

    def __init__(
        self,
        *,
        depot: Depot,
        scratch: Scratch,
        driver: IDiskDriver,
        disks: Disks,
    ) -> None:
        self._depot, self._scratch = depot, scratch
        self._driver, self._disks = driver, disks
        self._locks = KeyedLock()
        self._snapshots: dict[str, Snapshot] = {}
        self._aside: set[str] = set()

    def load(self, repairs: Repairs) -> None:
        """Read the records; one that cannot be read is set aside, as it is."""
        records = map(paths.snapshot_record, sorted(self._depot.snapshots.iterdir()))
        snapshots, self._aside = load_all(records, Snapshot.from_json, repairs)
        self._snapshots = {snapshot.snapshot_cid: snapshot for snapshot in snapshots}

    def all(self) -> list[Snapshot]:
        """Return every snapshot."""
        return list(self._snapshots.values())

    async def create(
        self, disk_cid: str, metadata: Any, container: ContainerState | None
    ) -> Snapshot:
        """
        Keep what a disk holds now, also while it is written to.

        @param container: of the VM that has it, if any.
        @raise InvalidArgument: if the metadata are no object.
        @raise DiskNotFound: if there is no such disk.
        @raise NotSupported: if another driver made it.
        @raise NoDiskSpace: if there is no room for a copy.
        @raise CloudError: if the copy fails.
        """
        if not isinstance(metadata, dict):
            raise InvalidArgument("metadata: must be an object")
        async with self._disks.using(disk_cid) as (disk, path):
            snapshot = Snapshot(
                snapshot_cid=f"snapshot-{uuid4()}",
                disk_cid=disk_cid,
                size=disk.size,
                driver=disk.driver,
                filesystem=disk.filesystem,
                metadata=metadata,
                created_at=now(),
            )
            taken = await deferToThread(self._driver.allocated, path)
            size = -(-taken // MEBIBYTE)  # MiB, rounded up
            await self._disks.room.check(size)
            scratch = self._scratch.new()
            target = self._depot.snapshots / snapshot.snapshot_cid
            try:
                with self._disks.room.promised(scratch, size):
                    await self._driver.snapshot(path, scratch, container)
                await self._scratch.sync(scratch)
                record = paths.snapshot_record(scratch)
                await deferToThread(write_record, record, snapshot.to_json())
                await self._scratch.publish(scratch, target)
            except BaseException:
                await self._scratch.discard(scratch)
                raise
        self._snapshots[snapshot.snapshot_cid] = snapshot
        self.log.info(
            "created {snapshot_cid} of {disk_cid}",
            snapshot_cid=snapshot.snapshot_cid,
            disk_cid=disk_cid,
        )
        return snapshot

    async def delete(self, snapshot_cid: str) -> None:
        """
        Delete a snapshot; an unknown one is no error.

        @raise CloudError: if its record cannot be read.
        @raise OSError: if it cannot be taken away; it is there as before then.
        """
        async with self._locks(snapshot_cid):
            if snapshot_cid in self._aside:
                raise CloudError(f"the record of {snapshot_cid} cannot be read")
            if snapshot_cid not in self._snapshots:
                return
            await self._scratch.remove(self._depot.snapshots / snapshot_cid)
            del self._snapshots[snapshot_cid]
        self.log.info("deleted {snapshot_cid}", snapshot_cid=snapshot_cid)
