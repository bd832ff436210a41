"""Which VM has which disk, and what the VM sees of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from twisted.logger import Logger

from runc_cpi.daemon.base.calls import spanned
from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.disks.disk import BootParts, Disk
from runc_cpi.daemon.disks.records import DiskRecords
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.errors import CPIError, DiskAttached, DiskNotAttached


class DiskAttachments(DiskRecords):
    """
    Gives disks to VMs and takes them away.

    A disk belongs to a VM from the moment its record says so; what the VM sees follows,
    and is made up for when the daemon comes back after a crash in between.
    """

    log = Logger()

    @property
    def agent_binds(self) -> bool:
        """Whether agents are to bind-mount disks, and not to mount devices."""
        return self._driver.agent_binds

    def hint(self, vm_cid: str, disk_cid: str) -> str:
        """
        Return where in its VM an attached disk is found.

        @raise CloudError: if it is not known which ids the VM has.
        """
        return self._driver.hint(disk_cid, Bundle(self._depot.vms / vm_cid))

    def hints(self, vm_cid: str) -> dict[str, str]:
        """Return what the agent's settings file says of a VM's disks."""
        return {
            disk.disk_cid: self.hint(vm_cid, disk.disk_cid)
            for disk in self.of(vm_cid)
            if disk.in_settings
        }

    async def attach(
        self, vm_cid: str, disk_cid: str, container: ContainerState, *, in_settings: bool
    ) -> str:
        """
        Give a disk to a VM; one that it has already is shown to it if it does not see it.

        @param in_settings: whether the agent's settings file is to name it; once it
            does, it does so until the disk is detached.
        @return: where the VM finds it.
        @raise DiskNotFound: if there is no such disk.
        @raise DiskAttached: if another VM has it.
        @raise NotSupported: if another driver made it.
        @raise CloudError: if the VM cannot be shown the disk.
        """
        async with self._locks.disk(disk_cid):
            disk = self._usable(disk_cid)
            if disk.attached_to not in (None, vm_cid):
                raise DiskAttached(f"{disk_cid} is attached to {disk.attached_to}")
            named = in_settings or disk.in_settings
            await self._save(replace(disk, attached_to=vm_cid, in_settings=named))
            try:
                await self._driver.attach(
                    self._path(disk_cid), disk_cid, container, self._paths_of(vm_cid)
                )
            except BaseException:
                if disk.attached_to is None:
                    await self._take_back(disk, vm_cid, container)
                raise
        self.log.info("attached {disk_cid} to {vm_cid}", disk_cid=disk_cid, vm_cid=vm_cid)
        return self.hint(vm_cid, disk_cid)

    async def _take_back(self, disk: Disk, vm_cid: str, container: ContainerState) -> None:
        """Undo an attachment that failed; that this fails too is only logged."""
        try:
            await self._hide(vm_cid, disk.disk_cid, container)
            await self._save(disk)
        except (CPIError, OSError):
            self.log.failure("cannot take {disk_cid} back", disk_cid=disk.disk_cid)

    async def detach(self, vm_cid: str, disk_cid: str, container: ContainerState) -> None:
        """
        Take a disk from a VM.

        @raise DiskNotFound: if there is no such disk.
        @raise DiskNotAttached: if the VM does not have it.
        @raise DiskBusy: if a process of the VM still uses it.
        @raise CloudError: if the kernel refuses.
        """
        async with self._locks.disk(disk_cid):
            disk = self._get(disk_cid)
            if disk.attached_to != vm_cid:
                raise DiskNotAttached(f"{disk_cid} is not attached to {vm_cid}")
            await self._hide(vm_cid, disk_cid, container)
            await self._save(replace(disk, attached_to=None, in_settings=False))
        self.log.info("detached {disk_cid} from {vm_cid}", disk_cid=disk_cid, vm_cid=vm_cid)

    async def _hide(self, vm_cid: str, disk_cid: str, container: ContainerState) -> None:
        """Have a VM not see a disk any more; it keeps its other disks."""
        path = self._path(disk_cid)
        kept = [other for other in self._paths_of(vm_cid) if other != path]
        await self._driver.detach(path, disk_cid, container, kept)

    async def release(self, vm_cid: str, container: ContainerState) -> None:
        """
        Take all disks from a VM that does not run any more; no data is lost.

        @raise DiskBusy: if something still uses one.
        @raise CloudError: if the kernel refuses.
        """
        for disk in self.of(vm_cid):
            await self.detach(vm_cid, disk.disk_cid, container)

    async def restore(
        self, vm_cid: str, container: ContainerState, repairs: Repairs
    ) -> None:
        """Make sure that a running VM sees the disks that its records say it has."""
        for disk in self.of(vm_cid):
            path, disk_cid = self._path(disk.disk_cid), disk.disk_cid
            async with self._locks.disk(disk_cid):
                with repairs.attempt(f"{disk_cid} of {vm_cid}"):
                    if await self._driver.attach(
                        path, disk_cid, container, self._paths_of(vm_cid)
                    ):
                        repairs.did(f"gave {disk_cid} to {vm_cid} again")
                    if await self._driver.thaw(path, container):
                        repairs.did(f"thawed {disk_cid}")

    async def sweep(self, busy: Callable[[str], bool], repairs: Repairs) -> None:
        """
        Clear away what a crash left on the host.

        @param busy: says of which VMs something is being done right now.
        @raise OSError: if the kernel refuses.
        """
        kept = [
            self._path(disk.disk_cid)
            for disk in self.all()
            if disk.attached_to or self._locks.disk.is_held(disk.disk_cid)
        ]
        kept += [path for path in self._depot.vms.iterdir() if busy(path.name)]
        for image in await self._driver.sweep(self._depot.work_dir, kept):
            repairs.did(f"let go of the loop device of {image}")

    @spanned("disks")
    async def boot(self, vm_cid: str, container: ContainerState) -> BootParts:
        """
        Prepare for a VM to boot with the disks it has.

        @return: what the container's specification gets for them.
        @raise CloudError: if the disks cannot be made ready.
        """
        disks = {disk.disk_cid: self._path(disk.disk_cid) for disk in self.of(vm_cid)}
        parts: BootParts = await self._driver.boot(disks, container)
        return parts

    @spanned("disks")
    async def booted(
        self, vm_cid: str, container: ContainerState, mounted: str | None
    ) -> None:
        """
        Do what can be done once the container is there, before it runs.

        @param mounted: the disk that was on its /var/vcap/store, if any.
        @raise CloudError: if that disk cannot be mounted, or the kernel refuses.
        """
        store = next((disk for disk in self.of(vm_cid) if disk.disk_cid == mounted), None)
        await self._driver.booted(
            self._paths_of(vm_cid),
            container,
            store.disk_cid if store else None,
            store.filesystem if store else "",
        )

    @spanned("disks")
    async def halted(self, container: ContainerState) -> None:
        """
        Clear away what only a running VM needs.

        @raise CloudError: if something still uses it.
        """
        await self._driver.halted(container)
