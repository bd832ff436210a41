"""The records of all disks: which there are, and which VM has each."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.threads import deferToThread

from runc_cpi.daemon.base.calls import spanned
from runc_cpi.daemon.base.locks import Locks
from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.disks import paths
from runc_cpi.daemon.disks.disk import Disk
from runc_cpi.daemon.disks.interfaces import IDiskDriver
from runc_cpi.daemon.disks.room import Room
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.loading import load_all
from runc_cpi.daemon.storage.records import write_record
from runc_cpi.errors import CloudError, DiskNotFound, NotSupported


class DiskRecords:
    """
    The record of each disk, kept in memory as it is on disk.

    @ivar room: what is promised to the disks.
    """

    def __init__(self, depot: Depot, driver: IDiskDriver, room: Room, locks: Locks) -> None:
        self._depot, self._driver, self.room = depot, driver, room
        self._locks = locks
        self._disks: dict[str, Disk] = {}
        self._aside: set[str] = set()

    def load(self, repairs: Repairs) -> None:
        """Read the records; one that cannot be read is set aside, as it is."""
        records = map(paths.disk_record, sorted(self._depot.disks.iterdir()))
        disks, self._aside = load_all(records, Disk.from_json, repairs)
        for disk in disks:
            self._note(disk)

    def all(self) -> list[Disk]:
        """Return every disk."""
        return list(self._disks.values())

    def find(self, disk_cid: str) -> Disk | None:
        """Return a disk, or L{None} if there is none of that id."""
        return self._disks.get(disk_cid)

    def taken(self, disk_cid: str) -> int | None:
        """Return how many bytes a disk took when that was last measured, if it was."""
        return self.room.taken(self._path(disk_cid))

    def of(self, vm_cid: str) -> list[Disk]:
        """Return the disks of a VM."""
        return [disk for disk in self._disks.values() if disk.attached_to == vm_cid]

    def owners(self) -> set[str]:
        """Return every VM that has a disk."""
        return {disk.attached_to for disk in self.all() if disk.attached_to is not None}

    def exists(self, disk_cid: str) -> bool:
        """
        Say whether there is such a disk.

        @raise CloudError: if its record cannot be read.
        """
        if disk_cid in self._aside:
            raise CloudError(
                f"the record of {disk_cid} cannot be read, and it was set aside; the "
                "daemon's log tells more"
            )
        return disk_cid in self._disks

    def attached_to(self, disk_cid: str) -> str | None:
        """
        Return the VM that has a disk, if any.

        @raise DiskNotFound: if there is no such disk.
        @raise CloudError: if its record cannot be read.
        """
        return self._get(disk_cid).attached_to

    def _get(self, disk_cid: str) -> Disk:
        if not self.exists(disk_cid):
            raise DiskNotFound(f"there is no disk {disk_cid!r}")
        return self._disks[disk_cid]

    def _usable(self, disk_cid: str) -> Disk:
        """
        Return a disk that the driver in use can handle.

        @raise DiskNotFound: if there is no such disk.
        @raise NotSupported: if another driver made it.
        """
        disk = self._get(disk_cid)
        if disk.driver != self._driver.name:
            raise NotSupported(
                f"{disk_cid} was made by the driver {disk.driver}, and this daemon "
                f"is configured for {self._driver.name}"
            )
        return disk

    def _path(self, disk_cid: str) -> Path:
        """Return the directory of a disk."""
        return self._depot.disks / disk_cid

    def _paths_of(self, vm_cid: str) -> list[Path]:
        """Return the directories of a VM's disks."""
        return [self._path(disk.disk_cid) for disk in self.of(vm_cid)]

    async def _save(self, disk: Disk) -> None:
        """
        Change the record of a disk.

        @raise OSError: if it cannot be written; the old one stays.
        """
        await self._write(self._path(disk.disk_cid), disk)
        self._note(disk)

    @spanned("record")
    async def _write(self, directory: Path, disk: Disk) -> None:
        record = paths.disk_record(directory)
        await deferToThread(write_record, record, disk.to_json())

    def _note(self, disk: Disk) -> None:
        """Keep what is on record in memory, and count the disk's size."""
        self._disks[disk.disk_cid] = disk
        self.room.record(self._path(disk.disk_cid), disk.size)

    def _forget(self, disk_cid: str) -> None:
        """Drop the record of a disk whose directory is gone, and its size."""
        del self._disks[disk_cid]
        self.room.forget(self._path(disk_cid))
