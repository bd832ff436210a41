"""Disks that are plain directories, for hosts without loop devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from zope.interface import implementer

from runc_cpi.daemon.disks import paths
from runc_cpi.daemon.disks.disk import BootParts
from runc_cpi.daemon.disks.interfaces import IDiskDriver
from runc_cpi.daemon.host import detached_mounts
from runc_cpi.daemon.host.disks import bind_mounts, mounts
from runc_cpi.daemon.host.disks.placed_disks import PLACES, PlacedDisks, place_of
from runc_cpi.daemon.host.guests.guests import Guests
from runc_cpi.daemon.host.processes import Lane, Processes
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.errors import CloudError

TOOL_TIMEOUT = 60.0  # seconds
COPY_TIMEOUT = 3600.0  # seconds


@implementer(IDiskDriver)
class DirectoryDisks:
    """
    The driver without loop devices.

    Each VM has a directory whose mounts it receives; a disk is bind-mounted below it,
    which the agent then bind-mounts again.  No size is enforced.
    """

    log = Logger()
    name = "directory"
    agent_binds = True
    keeps_to_sizes = False

    def __init__(self, processes: Processes, guests: Guests) -> None:
        self._processes, self._guests = processes, guests
        self._placed = PlacedDisks(guests)

    def check(self, filesystem: str, size: int) -> None:
        """Allow any size, as none is kept to."""

    def hint(self, disk_cid: str, bundle: Bundle) -> str:
        """Return where the disk is mounted in its VM."""
        return place_of(disk_cid)

    async def create(self, path: Path, size: int, filesystem: str) -> None:
        """
        Make an empty directory.

        @raise OSError: if that is not possible.
        """
        paths.data_of(path).mkdir()
        paths.data_of(path).chmod(0o755)

    async def make_ephemeral(self, bundle: Path, size: int) -> None:
        """Warn that there is no such thing: the VM has a plain directory there."""
        self.log.warn(
            "{path}: disks.driver directory keeps to no ephemeral_disk_size",
            path=str(bundle),
        )

    async def sweep(self, directory: Path, kept: Sequence[Path]) -> list[str]:
        """Do nothing: mounts go with their VMs, so that none is left over."""
        return []

    def allocated(self, path: Path) -> int:
        """Return 0: a directory is promised no room, so what it takes does not matter."""
        return 0

    def ephemeral_room(self, bundle: Path) -> int:
        """Return 0: /var/vcap/data is a directory, which is promised no room."""
        return 0

    async def attach(
        self, path: Path, disk_cid: str, container: ContainerState, attached: Sequence[Path]
    ) -> bool:
        """
        Mount the disk where a running VM receives it.

        @return: whether it was not mounted.
        @raise CloudError: if the kernel refuses, or the VM does not receive it.
        """
        if container.pid is None:
            return False
        if container.bundle.ids is not None:
            return await self._place(path, disk_cid, container)
        point = container.bundle.disks / disk_cid
        changed = await self._bind(path, point)
        if not await self._is_received(container, disk_cid):
            # The agent unmounts the very directory that it was told of.
            await self._unbind(point)
            changed = await self._bind(path, point)
        if not await self._is_received(container, disk_cid):
            raise CloudError(
                f"the VM does not receive mounts below {PLACES}: something in it "
                "made them private; reboot it"
            )
        return changed

    async def _place(self, path: Path, disk_cid: str, container: ContainerState) -> bool:
        data = paths.data_of(path)
        wanted = await deferToThread(bind_mounts.mounts_of, data)
        make = partial(detached_mounts.of_directory, data)
        return await self._placed.place(container, place_of(disk_cid), make, wanted)

    async def _is_received(self, container: ContainerState, disk_cid: str) -> bool:
        assert container.pid is not None
        hint = place_of(disk_cid)
        looking = partial(
            mounts.mount_points, container.pid, lambda mount: mount.point == hint
        )
        # A VM can have many thousand mounts.
        return bool(await self._guests.run(container.vm_cid, looking))

    async def detach(
        self, path: Path, disk_cid: str, container: ContainerState, attached: Sequence[Path]
    ) -> None:
        """
        Unmount the disk wherever the VM mounted it, and where it receives it.

        @raise DiskBusy: if a process of the VM still uses it.
        @raise CloudError: if the kernel refuses.
        """
        point = container.bundle.disks / disk_cid
        # By the disk itself: the VM can have what is mounted at the point go away.
        wanted = await deferToThread(bind_mounts.mounts_of, paths.data_of(path))
        if container.pid is not None:
            unmounting = partial(mounts.unmount_everywhere, container.cgroup, wanted)
            await self._guests.run(container.vm_cid, unmounting)
        if container.pid is not None and container.bundle.ids is not None:
            await self._placed.remove(container, disk_cid)
            return
        if await deferToThread(bind_mounts.is_mounted, point):
            await self._unbind(point)
        await self._guests.run(container.vm_cid, partial(bind_mounts.remove_point, point))

    async def boot(self, disks: Mapping[str, Path], container: ContainerState) -> BootParts:
        """
        Make the directory whose mounts the VM receives, and mount its disks there.

        @raise CloudError: if the kernel refuses.
        """
        if container.bundle.ids is not None:
            return BootParts()  # they are mounted when the VM is there
        shared = container.bundle.disks
        shared.mkdir(mode=0o755, exist_ok=True)
        if not await deferToThread(bind_mounts.points_below, shared):
            await self._mount("--bind", str(shared), str(shared))
            # Private first: otherwise it would share with what the host shares.
            await self._mount("--make-private", str(shared))
            await self._mount("--make-shared", str(shared))
        for disk_cid, path in disks.items():
            await self._bind(path, shared / disk_cid)
        return BootParts(mounts=[_receive(PLACES, shared)])

    async def booted(
        self,
        attached: Sequence[Path],
        container: ContainerState,
        store: str | None,
        filesystem: str,
    ) -> None:
        """
        Mount the disks in an isolated VM, and the one that the agent had mounted.

        @raise CloudError: if the kernel refuses.
        """
        if container.bundle.ids is not None:
            for path in attached:
                await self._place(path, path.name, container)
        if store is not None:
            await self._placed.mount_store(container, store)

    async def halted(self, container: ContainerState) -> None:
        """
        Unmount what the VM received.

        @raise CloudError: if something still uses it.
        """
        shared = container.bundle.disks
        for point in await deferToThread(bind_mounts.points_below, shared):
            await self._unbind(Path(point))

    async def thaw(self, path: Path, container: ContainerState) -> bool:
        """Return C{False}: snapshots freeze no directory."""
        return False

    async def grow(
        self, path: Path, size: int, filesystem: str, container: ContainerState | None
    ) -> None:
        """Do nothing: a directory can hold more already."""

    async def snapshot(
        self, path: Path, target: Path, container: ContainerState | None
    ) -> None:
        """
        Copy the files, sharing their blocks where the host can.

        @raise CloudError: if the copy fails.
        """
        argv = ["cp", "--archive", "--reflink=auto", "--sparse=auto", "--one-file-system"]
        argv += ["--", str(paths.data_of(path)), str(paths.data_of(target))]
        outcome = await self._processes.run(argv, timeout=COPY_TIMEOUT, lane=Lane.BULK)
        if not outcome.ok:
            raise CloudError(f"snapshot: {outcome.complaint()}")

    async def _bind(self, path: Path, point: Path) -> bool:
        if await deferToThread(bind_mounts.is_mounted, point):
            return False
        vm_cid = point.parent.parent.name
        await self._guests.run(
            vm_cid, partial(bind_mounts.bind, paths.data_of(path), point)
        )
        return True

    async def _unbind(self, point: Path) -> None:
        vm_cid = point.parent.parent.name
        await self._guests.run(vm_cid, partial(bind_mounts.unmount, point))

    async def _mount(self, *arguments: str) -> None:
        outcome = await self._processes.run(["mount", *arguments], timeout=TOOL_TIMEOUT)
        if not outcome.ok:
            raise CloudError(outcome.complaint())


def _receive(destination: str, source: Path) -> dict[str, object]:
    return {
        "destination": destination,
        "type": "bind",
        "source": str(source),
        "options": ["rbind", "rslave", "rw"],
    }
