"""What a VM needs to boot with disks that are files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from runc_cpi.daemon.disks import paths
from runc_cpi.daemon.disks.disk import BootParts
from runc_cpi.daemon.host.disks.device_nodes import DeviceNodes, node_path
from runc_cpi.daemon.host.disks.filesystems import FileSystem
from runc_cpi.daemon.host.disks.loop import LoopDevices
from runc_cpi.daemon.host.disks.loop_ioctl import LoopDevice
from runc_cpi.daemon.host.guests import guests
from runc_cpi.daemon.host.guests.guests import Guests
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.errors import CloudError

EPHEMERAL_POINT = "/var/vcap/data"
STORE = "/var/vcap/store"


class Booting:
    """
    Gives a VM its disks at boot, and mounts the one that it had mounted.

    @param ephemeral: what VMs have on C{/var/vcap/data}.
    """

    def __init__(
        self,
        loops: LoopDevices,
        nodes: DeviceNodes,
        guests: Guests,
        ephemeral: FileSystem,
    ) -> None:
        self._loops, self._nodes, self._guests = loops, nodes, guests
        self._ephemeral = ephemeral

    async def boot(self, disks: Mapping[str, Path], container: ContainerState) -> BootParts:
        """
        Have the specification make the nodes, and mount the ephemeral disk.

        @param disks: the directories of the VM's disks, by their cids.
        @raise CloudError: if there is no loop device to be had.
        """
        images = {disk_cid: paths.image_of(path) for disk_cid, path in disks.items()}
        ephemeral = container.bundle.ephemeral
        found = await self._loops.find([*images.values(), ephemeral])
        devices = {
            disk_cid: await self._loops.attach(image, found.get(image))
            for disk_cid, image in images.items()
        }
        nodes = [_node(disk_cid, device) for disk_cid, device in devices.items()]
        allowed, mounts = list(devices.values()), []
        if ephemeral.exists():
            device = await self._loops.attach(ephemeral, found.get(ephemeral))
            allowed.append(device)
            mounts.append(_mount(EPHEMERAL_POINT, device, self._ephemeral))
        rules = self._nodes.rules_for_boot(allowed)
        return BootParts(devices=nodes, mounts=mounts, rules=rules)

    async def booted(
        self,
        attached: Sequence[Path],
        container: ContainerState,
        store: str | None,
        filesystem: str,
    ) -> None:
        """
        Allow no more than what is attached, and mount the disk at C{/var/vcap/store}.

        @param attached: the directories of the VM's disks.
        @param store: the cid of the disk to mount, if any.
        @param filesystem: what is on it.
        @raise CloudError: if the kernel refuses, or the disk cannot be mounted.
        """
        images = [paths.image_of(path) for path in attached]
        ephemeral = container.bundle.ephemeral
        found = await self._loops.find([*images, ephemeral])
        allowed = [found[image] for image in images if image in found]
        await self._nodes.allow(container, allowed)
        if store is not None and container.pid is not None:
            # By the name that the agent knows it by, and looks for among the mounts.
            source = node_path(store)
            mounting = partial(guests.mount, container.pid, source, STORE, filesystem)
            try:
                await self._guests.run(container.vm_cid, mounting)
            except CloudError as error:
                raise CloudError(f"{store} cannot be mounted: {error}") from None
        if ephemeral in found:
            # Mounted by now: the device goes when the VM's mount does.
            await self._loops.let_go(found[ephemeral], ephemeral)

    async def halted(self, container: ContainerState) -> None:
        """
        Let go of what a boot that failed left; disks keep their loop devices.

        @raise CloudError: if the kernel refuses.
        """
        ephemeral = container.bundle.ephemeral
        if not ephemeral.exists():
            return
        found = await self._loops.find([ephemeral])
        if ephemeral in found:
            await self._loops.let_go(found[ephemeral], ephemeral)


def _node(disk_cid: str, device: LoopDevice) -> dict[str, Any]:
    return {
        "path": node_path(disk_cid),
        "type": "b",
        "major": os.major(device.number),
        "minor": device.minor,
        "fileMode": 0o660,
    }


def _mount(destination: str, device: LoopDevice, filesystem: FileSystem) -> dict[str, Any]:
    return {
        "destination": destination,
        "type": filesystem.name,
        "source": device.path,
        "options": ["rw"],
    }
