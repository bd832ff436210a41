"""Disks that are files with a file system of their own, attached as block devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from zope.interface import implementer

from runc_cpi.daemon.disks import paths
from runc_cpi.daemon.disks.disk import BootParts
from runc_cpi.daemon.disks.interfaces import IDiskDriver
from runc_cpi.daemon.host.cgroups.devices import DeviceRules
from runc_cpi.daemon.host.disks import image_files
from runc_cpi.daemon.host.disks.attaching import Attaching
from runc_cpi.daemon.host.disks.booting import Booting
from runc_cpi.daemon.host.disks.copying import Copying
from runc_cpi.daemon.host.disks.device_nodes import DeviceNodes, node_path
from runc_cpi.daemon.host.disks.filesystems import FILESYSTEMS
from runc_cpi.daemon.host.disks.growing import Growing
from runc_cpi.daemon.host.disks.image_files import ImageFiles
from runc_cpi.daemon.host.disks.isolated_images import IsolatedImages
from runc_cpi.daemon.host.disks.loop import LoopDevices
from runc_cpi.daemon.host.disks.mounted_disks import MountedDisks
from runc_cpi.daemon.host.disks.placed_disks import PlacedDisks, place_of
from runc_cpi.daemon.host.disks.tools import Tools
from runc_cpi.daemon.host.guests.guests import Guests
from runc_cpi.daemon.host.processes import Processes
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.container import ContainerState


@implementer(IDiskDriver)
class ImageDisks:
    """
    The default driver.

    A VM sees a disk as a block device node in its C{/dev}, allowed in its cgroup while
    the disk is attached; the agent mounts it as it would on any IaaS.

    @param full: whether a disk's space is taken when it is made.
    @param filesystem: for what VMs keep on C{/var/vcap/data}.
    """

    name = "image"
    agent_binds = False
    keeps_to_sizes = True

    def __init__(
        self,
        processes: Processes,
        loops: LoopDevices,
        rules: DeviceRules,
        guests: Guests,
        *,
        full: bool,
        filesystem: str,
    ) -> None:
        tools, nodes = Tools(processes), DeviceNodes(rules, guests)
        self._ephemeral_filesystem = FILESYSTEMS[filesystem]
        self._loops = loops
        self._mounted = MountedDisks(guests)
        self._files = ImageFiles(tools, full=full)
        self._attaching = Attaching(loops, nodes, self._mounted)
        self._booting = Booting(loops, nodes, guests, self._ephemeral_filesystem)
        self._growing = Growing(self._files, tools, loops, self._mounted, guests)
        placed = PlacedDisks(guests)
        self._isolated = IsolatedImages(loops, self._mounted, placed)
        self._copying = Copying(tools, loops, self._mounted)

    def check(self, filesystem: str, size: int) -> None:
        """
        @raise InvalidArgument: if the file system cannot be that small.
        """
        FILESYSTEMS[filesystem].check_size(size)

    def hint(self, disk_cid: str, bundle: Bundle) -> str:
        """
        Return the path of the disk's node in its VM, or its place in an isolated one.

        @raise CloudError: if it is not known which ids the VM has.
        """
        return node_path(disk_cid) if bundle.ids is None else place_of(disk_cid)

    async def create(self, path: Path, size: int, filesystem: str) -> None:
        """Make a file with an empty file system in it; see L{ImageFiles.create}."""
        kind = FILESYSTEMS[filesystem]
        await self._files.create(paths.image_of(path), size, kind)

    async def make_ephemeral(self, bundle: Path, size: int) -> None:
        """
        Make a file for the VM's /var/vcap/data; see also L{ImageFiles.create}.

        @raise InvalidArgument: if the file system cannot be that small.
        """
        kind = self._ephemeral_filesystem
        kind.check_size(size)
        await self._files.create(Bundle(bundle).ephemeral, size, kind)

    async def sweep(self, directory: Path, kept: Sequence[Path]) -> list[str]:
        """Let go of the loop devices of files below C{directory} that nobody needs."""
        bundles = [Bundle(path) for path in kept]
        needed = [
            *map(paths.image_of, kept),
            *(image for vm in bundles for image in (vm.ephemeral, vm.root_image)),
        ]
        return await self._loops.sweep(directory, needed)

    def allocated(self, path: Path) -> int:
        """Say how many bytes the file takes; see L{image_files.allocated}."""
        return image_files.allocated(path)

    def ephemeral_room(self, bundle: Path) -> int:
        """See L{image_files.ephemeral_room}."""
        return image_files.ephemeral_room(bundle)

    async def attach(
        self, path: Path, disk_cid: str, container: ContainerState, attached: Sequence[Path]
    ) -> bool:
        """See L{Attaching.attach} and L{IsolatedImages.attach}."""
        if _runs_isolated(container):
            return await self._isolated.attach(path, disk_cid, container)
        return await self._attaching.attach(path, disk_cid, container, attached)

    async def detach(
        self, path: Path, disk_cid: str, container: ContainerState, attached: Sequence[Path]
    ) -> None:
        """See L{Attaching.detach} and L{IsolatedImages.detach}."""
        if _runs_isolated(container):
            await self._isolated.detach(path, disk_cid, container)
        else:
            await self._attaching.detach(path, disk_cid, container, attached)

    async def boot(self, disks: Mapping[str, Path], container: ContainerState) -> BootParts:
        """See L{Booting.boot} and L{IsolatedImages.boot}."""
        if container.bundle.ids is not None:
            return await self._isolated.boot(disks, container)
        return await self._booting.boot(disks, container)

    async def booted(
        self,
        attached: Sequence[Path],
        container: ContainerState,
        store: str | None,
        filesystem: str,
    ) -> None:
        """See L{Booting.booted} and L{IsolatedImages.booted}."""
        if container.bundle.ids is not None:
            await self._isolated.booted(attached, container, store)
        else:
            await self._booting.booted(attached, container, store, filesystem)

    async def halted(self, container: ContainerState) -> None:
        """See L{Booting.halted}."""
        await self._booting.halted(container)

    async def thaw(self, path: Path, container: ContainerState) -> bool:
        """
        Let a VM write to a disk again, after a snapshot that was cut off.

        @return: whether it was frozen.
        @raise CloudError: if the kernel refuses.
        """
        image = paths.image_of(path)
        device = (await self._loops.find([image])).get(image)
        async with self._mounted.opened(device, container) as mount:
            return mount is not None and await self._mounted.thaw(mount, container)

    async def grow(
        self, path: Path, size: int, filesystem: str, container: ContainerState | None
    ) -> None:
        """See L{Growing.grow}."""
        await self._growing.grow(path, size, FILESYSTEMS[filesystem], container)

    async def snapshot(
        self, path: Path, target: Path, container: ContainerState | None
    ) -> None:
        """See L{Copying.copy}."""
        await self._copying.copy(path, target, container)


def _runs_isolated(container: ContainerState) -> bool:
    """Say whether a VM runs with ids of its own; disks of others need no mounts."""
    return container.pid is not None and container.bundle.ids is not None
