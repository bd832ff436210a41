"""Persistent disks: made, shown to VMs, taken away, grown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.base.locks import Locks
from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.base.timestamps import now
from runc_cpi.daemon.disks.disk import BootParts, Disk, check_filesystem, check_size
from runc_cpi.daemon.disks.interfaces import IDiskDriver
from runc_cpi.daemon.disks.room import Room
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.records import read_record, write_record
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.errors import (
    CloudError,
    CPIError,
    DiskAttached,
    DiskNotAttached,
    DiskNotFound,
    InvalidArgument,
    NotSupported,
)

RECORD = "disk.json"


@dataclass(frozen=True, kw_only=True)
class DiskPolicy:
    """
    How disks are made.

    @ivar filesystem: unless cloud_properties say otherwise.
    @ivar overcommit: how much may be promised, for each byte that is free.
    """

    filesystem: str
    overcommit: float


class Disks:
    """
    All persistent disks of this host.

    A disk belongs to a VM from the moment its record says so; what the VM sees follows,
    and is made up for when the daemon comes back after a crash in between.

    @ivar room: what is promised to them.
    """

    log = Logger()

    def __init__(
        self,
        *,
        depot: Depot,
        scratch: Scratch,
        driver: IDiskDriver,
        policy: DiskPolicy,
        locks: Locks,
    ) -> None:
        self._depot, self._scratch = depot, scratch
        self._driver, self._policy = driver, policy
        self._locks = locks
        self._disks: dict[str, Disk] = {}
        self.room = Room(depot, driver, policy.overcommit, self._sizes)
        self._aside: set[str] = set()

    def load(self, repairs: Repairs) -> None:
        """Read the records; one that cannot be read is set aside, as it is."""
        for path in sorted(self._depot.disks.iterdir()):
            self._aside.add(path.name)
            with repairs.attempt(f"set {path / RECORD} aside"):
                disk = Disk.from_json(read_record(path / RECORD))
                self._disks[disk.disk_cid] = disk
                self._aside.discard(path.name)

    def all(self) -> list[Disk]:
        """Return every disk."""
        return list(self._disks.values())

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

    def hint(self, disk_cid: str) -> str:
        """Say where in its VM an attached disk is found."""
        return self._driver.hint(disk_cid)

    def hints(self, vm_cid: str) -> dict[str, str]:
        """Return what the agent's settings file says of a VM's disks."""
        return {
            disk.disk_cid: self.hint(disk.disk_cid)
            for disk in self.of(vm_cid)
            if disk.in_settings
        }

    @property
    def agent_binds(self) -> bool:
        """Whether agents are to bind-mount disks, and not to mount devices."""
        return self._driver.agent_binds

    async def create(self, size: Any, cloud_properties: Any) -> Disk:
        """
        Make an empty disk.

        @param size: MiB.
        @raise InvalidArgument: if an argument is not what it must be.
        @raise NoDiskSpace: if there is no room for it.
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
        self.room.check(size)
        scratch = self._scratch.new()
        try:
            with self.room.promised(scratch, size):
                await self._driver.create(scratch, size, filesystem)
                await deferToThread(write_record, scratch / RECORD, disk.to_json())
                await self._scratch.publish(scratch, self._path(disk.disk_cid))
                self._disks[disk.disk_cid] = disk
        except BaseException:
            await self._scratch.discard(scratch)
            raise
        self.log.info("created {disk_cid}, {size} MiB", disk_cid=disk.disk_cid, size=size)
        return disk

    async def delete(self, disk_cid: str) -> None:
        """
        Delete a disk; an unknown one is no error.

        @raise DiskAttached: if a VM has it.
        """
        async with self._locks.disk(disk_cid):
            if not self.exists(disk_cid):
                return
            disk = self._get(disk_cid)
            if disk.attached_to is not None:
                raise DiskAttached(f"{disk_cid} is attached to {disk.attached_to}")
            await self._scratch.remove(self._path(disk_cid))
            del self._disks[disk_cid]
        self.log.info("deleted {disk_cid}", disk_cid=disk_cid)

    async def attach(
        self, vm_cid: str, disk_cid: str, container: ContainerState, *, in_settings: bool
    ) -> str:
        """
        Give a disk to a VM; one that it has already is made sure of.

        @param in_settings: whether the agent's settings file is to name it; once it
            does, it does so until the disk is detached.
        @return: where the VM finds it.
        @raise DiskNotFound: if there is no such disk.
        @raise DiskAttached: if another VM has it.
        """
        async with self._locks.disk(disk_cid):
            disk = self._usable(disk_cid)
            if disk.attached_to not in (None, vm_cid):
                raise DiskAttached(f"{disk_cid} is attached to {disk.attached_to}")
            named = in_settings or disk.in_settings
            await self._save(replace(disk, attached_to=vm_cid, in_settings=named))
            try:
                await self._driver.attach(
                    self._path(disk_cid), disk_cid, container, self._paths(vm_cid)
                )
            except BaseException:
                if disk.attached_to is None:
                    await self._take_back(disk, vm_cid, container)
                raise
        self.log.info("attached {disk_cid} to {vm_cid}", disk_cid=disk_cid, vm_cid=vm_cid)
        return self.hint(disk_cid)

    async def _take_back(self, disk: Disk, vm_cid: str, container: ContainerState) -> None:
        """Undo an attachment that failed; that this fails too is only logged."""
        path = self._path(disk.disk_cid)
        try:
            kept = [other for other in self._paths(vm_cid) if other != path]
            await self._driver.detach(path, disk.disk_cid, container, kept)
            await self._save(disk)
        except (CPIError, OSError):
            self.log.failure("cannot take {disk_cid} back", disk_cid=disk.disk_cid)

    async def detach(self, vm_cid: str, disk_cid: str, container: ContainerState) -> None:
        """
        Take a disk from a VM.

        @raise DiskNotFound: if there is no such disk.
        @raise DiskNotAttached: if the VM does not have it.
        @raise DiskBusy: if a process of the VM still uses it.
        """
        async with self._locks.disk(disk_cid):
            disk = self._get(disk_cid)
            if disk.attached_to != vm_cid:
                raise DiskNotAttached(f"{disk_cid} is not attached to {vm_cid}")
            kept = [path for path in self._paths(vm_cid) if path != self._path(disk_cid)]
            await self._driver.detach(self._path(disk_cid), disk_cid, container, kept)
            await self._save(replace(disk, attached_to=None, in_settings=False))
        self.log.info("detached {disk_cid} from {vm_cid}", disk_cid=disk_cid, vm_cid=vm_cid)

    async def make_ephemeral(self, bundle: Path, size: int) -> None:
        """
        Make what a VM's /var/vcap/data will be on.

        @param size: MiB.
        @raise NoDiskSpace: if there is no room for it.
        """
        self.room.check(size)
        with self.room.promised(bundle, size):
            await self._driver.make_ephemeral(bundle, size)

    async def restore(
        self, vm_cid: str, container: ContainerState, repairs: Repairs
    ) -> None:
        """Make sure that a running VM sees the disks that its records say it has."""
        for disk in self.of(vm_cid):
            path, disk_cid = self._path(disk.disk_cid), disk.disk_cid
            async with self._locks.disk(disk_cid):
                with repairs.attempt(f"{disk_cid} of {vm_cid}"):
                    if await self._driver.attach(
                        path, disk_cid, container, self._paths(vm_cid)
                    ):
                        repairs.did(f"gave {disk_cid} to {vm_cid} again")
                    if await self._driver.thaw(path, container):
                        repairs.did(f"thawed {disk_cid}")

    async def sweep(self, busy: Callable[[str], bool], repairs: Repairs) -> None:
        """
        Clear away what a crash left on the host.

        @param busy: says of which VMs something is being done right now.
        """
        kept = [
            self._path(disk.disk_cid)
            for disk in self.all()
            if disk.attached_to or self._locks.disk.is_held(disk.disk_cid)
        ]
        kept += [path for path in self._depot.vms.iterdir() if busy(path.name)]
        for image in await self._driver.sweep(self._depot.work_dir, kept):
            repairs.did(f"let go of the loop device of {image}")

    async def boot(self, vm_cid: str, container: ContainerState) -> BootParts:
        """Prepare for a VM to boot with the disks it has."""
        disks = {disk.disk_cid: self._path(disk.disk_cid) for disk in self.of(vm_cid)}
        parts: BootParts = await self._driver.boot(disks, container)
        return parts

    async def booted(
        self, vm_cid: str, container: ContainerState, mounted: str | None
    ) -> None:
        """
        See to what can be done once the container is there, before it runs.

        @param mounted: the disk that was on its /var/vcap/store, if any.
        """
        store = next((disk for disk in self.of(vm_cid) if disk.disk_cid == mounted), None)
        await self._driver.booted(
            self._paths(vm_cid),
            container,
            store.disk_cid if store else None,
            store.filesystem if store else "",
        )

    async def halted(self, container: ContainerState) -> None:
        """Clear away what only a running VM needs."""
        await self._driver.halted(container)

    async def release(self, vm_cid: str, container: ContainerState) -> None:
        """Take all disks from a VM that does not run any more; no data is lost."""
        for disk in self.of(vm_cid):
            await self.detach(vm_cid, disk.disk_cid, container)

    async def resize(
        self, disk_cid: str, size: Any, container: ContainerState | None
    ) -> None:
        """
        Make a disk larger.

        @param size: MiB.
        @param container: of the VM that has it, if any.
        @raise NotSupported: if it would shrink, or cannot grow while in use.
        @raise NoDiskSpace: if there is no room.
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
        self.room.check(size - disk.size)
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

        @raise NotSupported: for what cannot be changed in place.
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
        """
        async with self._locks.disk(disk_cid):
            yield self._usable(disk_cid), self._path(disk_cid)

    def attached_to(self, disk_cid: str) -> str | None:
        """
        Return the VM that has a disk, if any.

        @raise DiskNotFound: if there is no such disk.
        """
        return self._get(disk_cid).attached_to

    def _get(self, disk_cid: str) -> Disk:
        if not self.exists(disk_cid):
            raise DiskNotFound(f"there is no disk {disk_cid!r}")
        return self._disks[disk_cid]

    def _usable(self, disk_cid: str) -> Disk:
        """
        Return a disk that the driver in use can handle.

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
        return self._depot.disks / disk_cid

    def _sizes(self) -> dict[Path, int]:
        return {self._path(disk.disk_cid): disk.size for disk in self.all()}

    def _paths(self, vm_cid: str) -> list[Path]:
        return [self._path(disk.disk_cid) for disk in self.of(vm_cid)]

    async def _save(self, disk: Disk) -> None:
        record = self._path(disk.disk_cid) / RECORD
        await deferToThread(write_record, record, disk.to_json())
        self._disks[disk.disk_cid] = disk
