"""Growing disks that are files, with what is on them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from runc_cpi.daemon.base.units import MEBIBYTE
from runc_cpi.daemon.disks import paths
from runc_cpi.daemon.host import capabilities
from runc_cpi.daemon.host.disks.attaching import PATIENCE
from runc_cpi.daemon.host.disks.filesystems import FileSystem
from runc_cpi.daemon.host.disks.image_files import ImageFiles
from runc_cpi.daemon.host.disks.loop import LoopDevices
from runc_cpi.daemon.host.disks.mounted_disks import MountedDisks
from runc_cpi.daemon.host.disks.tools import TOOL_TIMEOUT, Tools
from runc_cpi.daemon.host.guests.guests import Guests
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.errors import NotSupported


class Growing:
    """Grows the file, then its loop device, then the file system."""

    def __init__(
        self,
        files: ImageFiles,
        tools: Tools,
        loops: LoopDevices,
        mounted: MountedDisks,
        guests: Guests,
    ) -> None:
        self._files, self._tools, self._loops = files, tools, loops
        self._mounted, self._guests = mounted, guests

    async def grow(
        self,
        path: Path,
        size: int,
        filesystem: FileSystem,
        container: ContainerState | None,
    ) -> None:
        """
        Make a disk larger.

        @param path: the disk's directory.
        @param size: MiB.
        @param container: of the VM that has the disk, if any.
        @raise NotSupported: if this host cannot grow it while it is mounted.
        @raise NoDiskSpace: if the host's file system is full.
        @raise CloudError: if a program fails, or the kernel refuses.
        @raise OSError: if there is no room for the file.
        """
        image = paths.image_of(path)
        device = (await self._loops.find([image])).get(image)
        async with self._mounted.opened(device, container) as mount:
            if mount is not None:
                _check_mounted(filesystem)
            await self._files.extend(image, size)
            if device is not None:
                await self._loops.take_size(device)
            if mount is not None and container is not None:
                growing = partial(filesystem.grow_mounted, mount, size * MEBIBYTE)
                await self._guests.run(container.vm_cid, growing, seconds=TOOL_TIMEOUT)
            elif device is not None:
                await self._grow_unmounted(filesystem, Path(device.path), path)
            elif filesystem.grows_on_a_device:
                await self._grow_on_a_device(filesystem, path)
            else:
                await self._grow_unmounted(filesystem, image, path)

    async def _grow_on_a_device(self, filesystem: FileSystem, path: Path) -> None:
        image = paths.image_of(path)
        device = await self._loops.attach(image, None)
        try:
            await self._grow_unmounted(filesystem, Path(device.path), path)
        finally:
            await self._loops.detach(device, image, PATIENCE)

    async def _grow_unmounted(
        self, filesystem: FileSystem, target: Path, path: Path
    ) -> None:
        for command in filesystem.growing(target, path):
            await self._tools.change(command)


def _check_mounted(filesystem: FileSystem) -> None:
    """
    @raise NotSupported: if the daemon may not grow the file system while it is mounted.
    """
    needed = filesystem.capability
    if needed is not None and needed not in capabilities.grantable(frozenset()):
        raise NotSupported(
            f"{filesystem.name} cannot be grown while it is mounted: the daemon lacks "
            f"{needed}; detach the disk first"
        )
