"""Attaching disks that are files to VMs, and detaching them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from runc_cpi.daemon.disks import paths
from runc_cpi.daemon.host.disks.device_nodes import DeviceNodes, node_path
from runc_cpi.daemon.host.disks.loop import LoopDevices
from runc_cpi.daemon.host.disks.loop_ioctl import LoopDevice
from runc_cpi.daemon.host.disks.mounted_disks import MountedDisks
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.errors import DiskBusy

PATIENCE = 1.0  # seconds for a running VM to let go of a device
PATIENCE_WITH_THE_DEAD = 30.0  # seconds; the kernel may have much to write back


class Attaching:
    """
    Gives running VMs the loop devices of their disks, and takes them away.

    Three things make up an attached disk: its loop device, the rule that lets the VM open
    that, and a node in the VM's /dev.
    """

    def __init__(
        self, loops: LoopDevices, nodes: DeviceNodes, mounted: MountedDisks
    ) -> None:
        self._loops, self._nodes, self._mounted = loops, nodes, mounted

    async def attach(
        self, path: Path, disk_cid: str, container: ContainerState, attached: Sequence[Path]
    ) -> bool:
        """
        Attach a disk's file to a loop device, and make its node in a running VM.

        @param path: the disk's directory.
        @param attached: the directories of all disks that the VM has, this one among them.
        @return: whether one of them was not there.
        @raise CloudError: if the kernel refuses.
        """
        image = paths.image_of(path)
        found = await self._loops.find([image, *map(paths.image_of, attached)])
        device = await self._loops.attach(image, found.get(image))
        changed = image not in found
        if container.pid is not None:
            devices = _devices({**found, image: device}, attached)
            await self._nodes.allow(container, devices)
            made = await self._nodes.make(container, disk_cid, device)
            changed = changed or made
        return changed

    async def detach(
        self, path: Path, disk_cid: str, container: ContainerState, attached: Sequence[Path]
    ) -> None:
        """
        Unmount the disk wherever the VM mounted it, and take its node and device away.

        @param path: the disk's directory.
        @param attached: the directories of the disks that the VM keeps.
        @raise DiskBusy: if a process of the VM still uses it; it stays attached.
        @raise CloudError: if the kernel refuses.
        """
        image = paths.image_of(path)
        found = await self._loops.find([image, *map(paths.image_of, attached)])
        device = found.get(image)
        if container.pid is None:
            if device is not None:
                await self._loops.detach(device, image, PATIENCE_WITH_THE_DEAD)
            return
        if device is not None:
            await self._mounted.unmount(path, device, container)
        # First of all, for the device may be another file's the moment it is let go.
        await self._nodes.allow(container, _devices(found, attached))
        if device is not None:
            try:
                await self._loops.detach(device, image, PATIENCE)
            except DiskBusy:
                await self._nodes.allow(container, _devices(found, [*attached, path]))
                who = await self._nodes.holder(container, device)
                raise DiskBusy(
                    f"the disk is still in use as {node_path(disk_cid)}, {who}"
                ) from None
        await self._nodes.remove(container, disk_cid)


def _devices(
    found: Mapping[Path, LoopDevice], attached: Sequence[Path]
) -> list[LoopDevice]:
    """Return the devices of those of some disks that have one."""
    images = map(paths.image_of, attached)
    return [found[image] for image in images if image in found]
