"""Persistent disks: made, changed, deleted, and given to VMs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from twisted.logger import Logger

from runc_cpi.daemon.base.locks import Locks
from runc_cpi.daemon.base.timestamps import now
from runc_cpi.daemon.disks.attachments import DiskAttachments
from runc_cpi.daemon.disks.disk import Disk, check_filesystem, check_size
from runc_cpi.daemon.disks.interfaces import IDiskDriver
from runc_cpi.daemon.disks.room import Room
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.reaper import Reaper
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.errors import DiskAttached, InvalidArgument, NotSupported


@dataclass(frozen=True, kw_only=True)
class DiskPolicy:
    """
    How disks are made.

    @ivar filesystem: unless cloud_properties say otherwise.
    @ivar overcommit: how much may be promised, for each byte that is free.
    """

    filesystem: str
    overcommit: float


class Disks(DiskAttachments):
    """
    All persistent disks of this host.

    The records are read and searched by L{DiskRecords}, and disks go to VMs and back by
    L{DiskAttachments}; here a disk is made, changed and deleted.
    """

    log = Logger()

    def __init__(
        self,
        *,
        depot: Depot,
        scratch: Scratch,
        reaper: Reaper,
        driver: IDiskDriver,
        policy: DiskPolicy,
        locks: Locks,
    ) -> None:
        room = Room(depot, driver, policy.overcommit, reaper)
        super().__init__(depot, driver, room, locks)
        self._scratch, self._policy = scratch, policy

    async def create(self, size: Any, cloud_properties: Any) -> Disk:
        """
        Make an empty disk.

        @param size: MiB.
        @raise InvalidArgument: if an argument is not what it must be.
        @raise NoDiskSpace: if there is no room for it.
        @raise CloudError: if it cannot be made.
        """
        size = check_size("size", size)
        filesystem = check_filesystem(cloud_properties, self._policy.filesystem)
        self._driver.check(filesystem, size)
        disk = Disk(
            disk_cid=f"disk-{uuid4()}",
            size=size,
            driver=self._driver.name,
            filesystem=filesystem,
            cloud_properties=cloud_properties,
            created_at=now(),
        )
        await self.room.check(size)
        scratch = self._scratch.new()
        try:
            with self.room.promised(scratch, size):
                await self._driver.create(scratch, size, filesystem)
                await self._write(scratch, disk)
                await self._scratch.publish(scratch, self._path(disk.disk_cid))
                self._note(disk)
        except BaseException:
            await self._scratch.discard(scratch)
            raise
        self.log.info("created {disk_cid}, {size} MiB", disk_cid=disk.disk_cid, size=size)
        return disk

    async def make_ephemeral(self, bundle: Path, size: int) -> None:
        """
        Make what a VM's /var/vcap/data will be on.

        @param size: MiB.
        @raise InvalidArgument: if it is too small for its file system.
        @raise NoDiskSpace: if there is no room for it.
        @raise CloudError: if it cannot be made.
        """
        await self.room.check(size)
        with self.room.promised(bundle, size):
            await self._driver.make_ephemeral(bundle, size)
        self.room.record_ephemeral(bundle, size)

    async def delete(self, disk_cid: str) -> None:
        """
        Delete a disk; an unknown one is no error.

        @raise DiskAttached: if a VM has it.
        @raise CloudError: if its record cannot be read.
        @raise OSError: if it cannot be taken away; it is there as before then.
        """
        async with self._locks.disk(disk_cid):
            if not self.exists(disk_cid):
                return
            disk = self._get(disk_cid)
            if disk.attached_to is not None:
                raise DiskAttached(f"{disk_cid} is attached to {disk.attached_to}")
            await self._scratch.remove(self._path(disk_cid))
            self._forget(disk_cid)
        self.log.info("deleted {disk_cid}", disk_cid=disk_cid)

    async def resize(
        self, disk_cid: str, size: Any, container: ContainerState | None
    ) -> None:
        """
        Make a disk larger.

        @param size: MiB.
        @param container: of the VM that has it, if any.
        @raise InvalidArgument: if the size is not what it must be.
        @raise DiskNotFound: if there is no such disk.
        @raise NotSupported: if it would shrink, or cannot grow while in use.
        @raise NoDiskSpace: if there is no room.
        @raise CloudError: if a program fails, or the kernel refuses.
        """
        size = check_size("new_size", size)
        async with self._locks.disk(disk_cid):
            await self._resize(self._usable(disk_cid), size, container)

    async def _resize(
        self, disk: Disk, size: int, container: ContainerState | None
    ) -> None:
        if size < disk.size:
            raise NotSupported(
                f"{disk.disk_cid} has {disk.size} MiB and cannot shrink to {size} MiB"
            )
        await self.room.check(size - disk.size)
        path = self._path(disk.disk_cid)
        with self.room.promised(path, size):
            await self._driver.grow(path, size, disk.filesystem, container)
            await self._save(replace(disk, size=size))
        self.log.info("grew {disk_cid} to {size} MiB", disk_cid=disk.disk_cid, size=size)

    async def update(
        self,
        disk_cid: str,
        size: Any,
        cloud_properties: Any,
        container: ContainerState | None,
    ) -> None:
        """
        Change a disk's size and properties.

        @param size: MiB.
        @param container: of the VM that has it, if any.
        @raise NotSupported: for what cannot be changed in place.
        @raise CPIError: as L{resize} does.
        """
        size = check_size("new_size", size)
        async with self._locks.disk(disk_cid):
            disk = self._usable(disk_cid)
            filesystem = check_filesystem(cloud_properties, disk.filesystem)
            if filesystem != disk.filesystem:
                raise NotSupported(
                    f"{disk_cid} holds {disk.filesystem}, which cannot become "
                    f"{filesystem} in place"
                )
            # One record says both: after a crash there is the old disk or the new one.
            updated = replace(disk, cloud_properties=cloud_properties)
            if size != disk.size:
                await self._resize(updated, size, container)
            else:
                await self._save(updated)

    async def set_metadata(self, disk_cid: str, metadata: Any) -> None:
        """
        Replace what is noted about a disk.

        @raise InvalidArgument: if the metadata are no object.
        @raise DiskNotFound: if there is no such disk.
        """
        if not isinstance(metadata, dict):
            raise InvalidArgument("metadata: must be an object")
        async with self._locks.disk(disk_cid):
            await self._save(replace(self._get(disk_cid), metadata=metadata))

    @asynccontextmanager
    async def using(self, disk_cid: str) -> AsyncIterator[tuple[Disk, Path]]:
        """
        Keep a disk as it is, for work on what it holds.

        @return: the disk, and its directory.
        @raise DiskNotFound: if there is no such disk.
        @raise NotSupported: if another driver made it.
        """
        async with self._locks.disk(disk_cid):
            yield self._usable(disk_cid), self._path(disk_cid)
