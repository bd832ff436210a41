"""Disks that are files, for VMs that may open no devices: the daemon mounts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from twisted.internet.threads import deferToThread

from runc_cpi.daemon.disks import paths
from runc_cpi.daemon.disks.disk import BootParts
from runc_cpi.daemon.host import detached_mounts
from runc_cpi.daemon.host.disks.attaching import PATIENCE
from runc_cpi.daemon.host.disks.booting import EPHEMERAL_POINT
from runc_cpi.daemon.host.disks.filesystems import filesystem_in
from runc_cpi.daemon.host.disks.loop import LoopDevices
from runc_cpi.daemon.host.disks.loop_ioctl import LoopDevice
from runc_cpi.daemon.host.disks.mounted_disks import MountedDisks, mounts_of
from runc_cpi.daemon.host.disks.placed_disks import PlacedDisks, place_of
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.errors import CloudError


class IsolatedImages:
    """
    Attaches disks to VMs whose users have ids of their own.

    A user namespace opens no block devices.  So a disk is mounted in the VM by the daemon,
    as long as it is attached, and its agent bind-mounts it.  On the disk files belong to
    the same users as when a VM of another profile has it.
    """

    def __init__(
        self, loops: LoopDevices, mounted: MountedDisks, placed: PlacedDisks
    ) -> None:
        self._loops, self._mounted, self._placed = loops, mounted, placed

    async def attach(self, path: Path, disk_cid: str, container: ContainerState) -> bool:
        """
        Attach a disk's file to a loop device, and mount that in a running VM.

        @param path: the disk's directory.
        @return: whether one of them was not there.
        @raise CloudError: if the kernel refuses.
        """
        image = paths.image_of(path)
        found = (await self._loops.find([image])).get(image)
        device = await self._loops.attach(image, found)
        placed = await self._place(container, place_of(disk_cid), image, device)
        return placed or found is None

    async def _place(
        self, container: ContainerState, point: str, image: Path, device: LoopDevice
    ) -> bool:
        kind = await deferToThread(filesystem_in, image)
        if kind is None:
            raise CloudError(f"{image}: holds no file system that can be mounted")
        make = partial(detached_mounts.of_device, device.path, kind)
        return await self._placed.place(container, point, make, mounts_of(device))

    async def detach(self, path: Path, disk_cid: str, container: ContainerState) -> None:
        """
        Unmount the disk wherever a running VM mounted it, and take its device away.

        @param path: the disk's directory.
        @raise DiskBusy: if a process of the VM still uses it; it stays attached.
        @raise CloudError: if the kernel refuses.
        """
        image = paths.image_of(path)
        device = (await self._loops.find([image])).get(image)
        if device is not None:
            await self._mounted.unmount(path, device, container)
            await self._loops.detach(device, image, PATIENCE)
        await self._placed.remove(container, disk_cid)

    async def boot(self, disks: Mapping[str, Path], container: ContainerState) -> BootParts:
        """
        Attach the files of a VM's disks to loop devices.

        @param disks: the directories of the VM's disks, by their cids.
        @return: nothing: all is mounted when the VM is there.
        @raise CloudError: if there is no loop device to be had.
        """
        images = [*map(paths.image_of, disks.values())]
        if container.bundle.ephemeral.exists():
            images.append(container.bundle.ephemeral)
        found = await self._loops.find(images)
        for image in images:
            await self._loops.attach(image, found.get(image))
        return BootParts()

    async def booted(
        self, attached: Sequence[Path], container: ContainerState, store: str | None
    ) -> None:
        """
        Mount a VM's disks, also at C{/var/vcap/data} and C{/var/vcap/store}.

        @param attached: the directories of the VM's disks.
        @param store: the cid of the disk to mount at C{/var/vcap/store}, if any.
        @raise CloudError: if the kernel refuses, or a disk cannot be mounted.
        """
        if container.pid is None:
            return
        points = {paths.image_of(path): place_of(path.name) for path in attached}
        ephemeral = container.bundle.ephemeral
        points[ephemeral] = EPHEMERAL_POINT
        for image, device in (await self._loops.find([*points])).items():
            try:
                await self._place(container, points[image], image, device)
            except CloudError as error:
                raise CloudError(f"{image} cannot be mounted: {error}") from None
            if image == ephemeral:
                # Mounted by now: the device goes when the VM's mount does.
                await self._loops.let_go(device, ephemeral)
        if store is not None:
            await self._placed.mount_store(container, store)
