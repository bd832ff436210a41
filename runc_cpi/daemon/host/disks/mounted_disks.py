"""The file systems of disks in the places where VMs have them mounted."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.base.calls import spanned
from runc_cpi.daemon.host.disks import mounts
from runc_cpi.daemon.host.disks.freezing import thaw
from runc_cpi.daemon.host.disks.loop_ioctl import LoopDevice
from runc_cpi.daemon.host.disks.mountinfo import Mount
from runc_cpi.daemon.host.disks.tools import TOOL_TIMEOUT
from runc_cpi.daemon.host.guests.guests import Guests
from runc_cpi.daemon.host.libc import sync_file_system
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.errors import CloudError


class MountedDisks:
    """Finds the mounts of disks in running VMs, and works on them."""

    log = Logger()

    def __init__(self, guests: Guests) -> None:
        self._guests = guests

    @asynccontextmanager
    async def opened(
        self, device: LoopDevice | None, container: ContainerState | None
    ) -> AsyncIterator[int | None]:
        """
        Open a disk's file system where a VM has it mounted, if it has.

        @param device: the disk's, if it has one.
        @param container: the VM's, if the disk is attached to one.
        @return: a descriptor of the file system, if it is mounted.
        @raise CloudError: if it is mounted, but out of reach.
        """
        mount = None
        if device is not None and container is not None and container.pid is not None:
            wanted = mounts_of(device)
            opening = partial(mounts.open_mounted, container.cgroup, device.number, wanted)
            mount = await self._guests.run(container.vm_cid, opening, unwanted=_close)
        try:
            yield mount
        finally:
            # If the VM has let go meanwhile, this unmounts, and writes what is unwritten.
            await deferToThread(_close, mount)

    @spanned("unmount")
    async def unmount(
        self, path: Path, device: LoopDevice, container: ContainerState
    ) -> None:
        """
        Unmount a disk wherever a VM has it mounted.

        @param path: the disk's directory, for the log.
        @raise DiskBusy: if a process of the VM still uses it.
        @raise CloudError: if the kernel refuses.
        """
        await self._flush(path, device, container)
        unmounting = partial(mounts.unmount_everywhere, container.cgroup, mounts_of(device))
        await self._guests.run(container.vm_cid, unmounting)

    async def _flush(
        self, path: Path, device: LoopDevice, container: ContainerState
    ) -> None:
        """Write a disk's data back first, for visits to VMs are to be short."""
        try:
            async with self.opened(device, container) as mount:
                if mount is not None:
                    await self._guests.run(
                        container.vm_cid,
                        partial(sync_file_system, mount),
                        seconds=TOOL_TIMEOUT,
                    )
        except (CloudError, OSError) as error:
            self.log.warn("{path}: {error}", path=str(path), error=str(error))

    async def thaw(self, mount: int, container: ContainerState) -> bool:
        """
        Have a VM's file system take writes again, after a freeze that was cut off.

        @param mount: open on the file system.
        @return: whether it was frozen.
        @raise CloudError: if the kernel refuses.
        """
        return await self._guests.run(container.vm_cid, partial(thaw, mount))


def mounts_of(device: LoopDevice) -> Callable[[Mount], bool]:
    """Return what recognizes the mounts of a device."""

    def is_of_device(mount: Mount) -> bool:
        return mount.device == device.key

    return is_of_device


def _close(mount: int | None) -> None:
    if mount is not None:
        os.close(mount)
