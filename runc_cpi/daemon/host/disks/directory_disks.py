"""Disks that are plain directories, for hosts without loop devices."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from twisted.logger import Logger
from zope.interface import implementer

from runc_cpi.daemon.disks import paths
from runc_cpi.daemon.disks.disk import BootParts
from runc_cpi.daemon.disks.interfaces import IDiskDriver
from runc_cpi.daemon.host import namespaces
from runc_cpi.daemon.host.disks import mountinfo, mounts
from runc_cpi.daemon.host.disks.mountinfo import Mount
from runc_cpi.daemon.host.guests import guests
from runc_cpi.daemon.host.guests.guests import Guests
from runc_cpi.daemon.host.processes import Lane, Processes
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.errors import CloudError, DiskBusy

GUEST_MOUNTS = "/warden-cpi-dev"
STORE = "/var/vcap/store"
TOOL_TIMEOUT = 60.0
COPY_TIMEOUT = 3600.0


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

    def check(self, filesystem: str, size: int) -> None:
        """Any size will do, as none is kept to."""

    def hint(self, disk_cid: str) -> str:
        """Return where the disk is mounted in its VM."""
        return f"{GUEST_MOUNTS}/{disk_cid}"

    async def create(self, path: Path, size: int, filesystem: str) -> None:
        """Make an empty directory."""
        paths.data_of(path).mkdir()
        paths.data_of(path).chmod(0o755)

    async def make_ephemeral(self, bundle: Path, size: int) -> None:
        """Let it be the plain directory that it is without a size."""
        self.log.warn(
            "{path}: disks.driver directory keeps to no ephemeral_disk_size",
            path=str(bundle),
        )

    async def sweep(self, directory: Path, kept: Sequence[Path]) -> list[str]:
        """There is nothing that could be left over: mounts go with their VMs."""
        return []

    def allocated(self, path: Path) -> int:
        """Nothing is kept account of, as no size is kept to."""
        return 0

    def ephemeral_room(self, bundle: Path) -> int:
        """As L{allocated}."""
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
        point = container.bundle.disks / disk_cid
        changed = await self._bind(path, point)
        if not await self._is_received(container, disk_cid):
            # The agent unmounts the very directory that it was told of.
            await self._unbind(point)
            changed = await self._bind(path, point)
        if not await self._is_received(container, disk_cid):
            raise CloudError(
                f"the VM does not receive mounts below {GUEST_MOUNTS}: something in it "
                "made them private; reboot it"
            )
        return changed

    async def _is_received(self, container: ContainerState, disk_cid: str) -> bool:
        assert container.pid is not None
        hint = self.hint(disk_cid)
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
        wanted = _mounts_of(paths.data_of(path))
        if container.pid is not None:
            unmounting = partial(mounts.unmount_everywhere, container.cgroup, wanted)
            await self._guests.run(container.vm_cid, unmounting)
        if _is_mounted(point):
            await self._unbind(point)
        await self._guests.run(container.vm_cid, partial(_remove_point, point))

    async def boot(self, disks: Mapping[str, Path], container: ContainerState) -> BootParts:
        """Make the directory whose mounts the VM receives, with its disks in it."""
        shared = container.bundle.disks
        shared.mkdir(mode=0o755, exist_ok=True)
        if not _mounts_below(shared):
            await self._mount("--bind", str(shared), str(shared))
            # Private first: otherwise it would share with what the host shares.
            await self._mount("--make-private", str(shared))
            await self._mount("--make-shared", str(shared))
        for disk_cid, path in disks.items():
            await self._bind(path, shared / disk_cid)
        return BootParts(mounts=[_receive(GUEST_MOUNTS, shared)])

    async def booted(
        self,
        attached: Sequence[Path],
        container: ContainerState,
        store: str | None,
        filesystem: str,
    ) -> None:
        """Mount what the agent had mounted."""
        if store is not None and container.pid is not None:
            source = self.hint(store)
            mounting = partial(guests.bind, container.pid, source, STORE)
            await self._guests.run(container.vm_cid, mounting)

    async def halted(self, container: ContainerState) -> None:
        """
        Unmount what the VM received.

        @raise CloudError: if something still uses it.
        """
        for point in _mounts_below(container.bundle.disks):
            await self._unbind(Path(point))

    async def thaw(self, path: Path, container: ContainerState) -> bool:
        """Nothing is ever frozen."""
        return False

    async def grow(
        self, path: Path, size: int, filesystem: str, container: ContainerState | None
    ) -> None:
        """A directory can hold more already."""

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
        if _is_mounted(point):
            return False
        vm_cid = point.parent.parent.name
        await self._guests.run(vm_cid, partial(_bind_to, paths.data_of(path), point))
        return True

    async def _unbind(self, point: Path) -> None:
        vm_cid = point.parent.parent.name
        await self._guests.run(vm_cid, partial(_unmount, point))

    async def _mount(self, *arguments: str) -> None:
        outcome = await self._processes.run(["mount", *arguments], timeout=TOOL_TIMEOUT)
        if not outcome.ok:
            raise CloudError(outcome.complaint())


def _bind_to(source: Path, point: Path) -> None:
    """
    Mount a directory at C{point}, in a directory that the VM can write to.

    It is made, and mounted on, by the descriptor of what it is in: the VM may put a link
    or something else in its place at any time.

    @raise OSError: if that is not possible.
    """
    with Tree.at(point.parent) as tree:
        tree.make_directories(point.name)
        target = tree.open(point.name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            namespaces.bind(str(source), f"/proc/self/fd/{target}")
        finally:
            os.close(target)


def _unmount(point: Path) -> None:
    """
    @raise DiskBusy: if it is in use, or not mounted any more.
    """
    try:
        namespaces.unmount(str(point))
    except OSError as error:
        raise DiskBusy(f"{point} cannot be unmounted: {error.strerror}") from None


def _remove_point(point: Path) -> None:
    """Remove a mount point; what a VM put there in its place is the VM's to remove."""
    try:
        point.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY):
            raise


def _receive(destination: str, source: Path) -> dict[str, object]:
    return {
        "destination": destination,
        "type": "bind",
        "source": str(source),
        "options": ["rbind", "rslave", "rw"],
    }


def _mounts_below(path: Path) -> list[str]:
    """Say what is mounted at or below C{path}, the last mounted first."""

    real = os.path.realpath(path)

    def below(mount: Mount) -> bool:
        return mount.point == real or mount.point.startswith(f"{real}/")

    return mounts.mount_points(os.getpid(), below)


def _is_mounted(point: Path) -> bool:
    """Say whether something is mounted right at C{point}."""
    # The VM can put a link in its place.
    real = os.path.join(os.path.realpath(point.parent), point.name)
    return any(mount.point == real for mount in mountinfo.read(os.getpid()))


def _mounts_of(directory: Path) -> Callable[[Mount], bool]:
    """Recognize mounts of a directory of the host, or of something in it, anywhere."""
    real = os.path.realpath(directory)
    # The last of those with the longest name is what the directory is on.
    on = max(
        (mount for mount in mountinfo.read(os.getpid()) if _is_within(real, mount.point)),
        key=lambda mount: (len(mount.point), mount.number),
    )
    root = os.path.normpath(os.path.join(on.root, os.path.relpath(real, on.point)))

    def same(mount: Mount) -> bool:
        return mount.device == on.device and _is_within(mount.root, root)

    return same


def _is_within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")
