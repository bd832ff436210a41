"""Disks that are files with a file system of their own, attached as block devices."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from zope.interface import implementer

from runc_cpi.daemon.base.outcome import Outcome
from runc_cpi.daemon.disks.disk import BootParts
from runc_cpi.daemon.disks.interfaces import IDiskDriver
from runc_cpi.daemon.host import capabilities
from runc_cpi.daemon.host.cgroups.devices import DeviceRules
from runc_cpi.daemon.host.disks import mounts
from runc_cpi.daemon.host.disks.freezing import thaw
from runc_cpi.daemon.host.disks.loop import LoopDevice, LoopDevices
from runc_cpi.daemon.host.disks.mountinfo import Mount
from runc_cpi.daemon.host.guests import guests
from runc_cpi.daemon.host.guests.guests import Guests
from runc_cpi.daemon.host.processes import Lane, Processes
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.errors import (
    CloudError,
    DiskBusy,
    InvalidArgument,
    NoDiskSpace,
    NotSupported,
)

IMAGE = "image"
EPHEMERAL = "ephemeral"
EPHEMERAL_POINT = "/var/vcap/data"
STORE = "/var/vcap/store"
MEBIBYTE = 1 << 20
BLOCK = 512  # what st_blocks counts in (stat(2))
TOOL_TIMEOUT = 600.0
COPY_TIMEOUT = 3600.0
PATIENCE = 1.0
PATIENCE_WITH_THE_DEAD = 30.0  # the kernel may have much to write before it lets go
LEAST = {"ext4": 2, "xfs": 300}

# Nothing is reserved for root, and what can be is left to be written when needed.
MKFS = {
    "ext4": (
        *("mkfs.ext4", "-q", "-F", "-m", "0"),
        *("-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1"),
    ),
    "xfs": ("mkfs.xfs", "-q", "-f", "-K"),
}

# A freeze must not outlive whoever asked for it, so one shell sees to all three steps,
# and stops copying when the daemon ends.  $1: seconds, $2: from, $3: to; 3: the mount.
FROZEN_COPY = """
trap 'ended=yes; kill $copy' TERM
fsfreeze --freeze /proc/self/fd/3 || exit 1
with_me="setpriv --pdeathsig=KILL --"
$with_me timeout "$1" $with_me cp --sparse=always --reflink=auto -- "$2" "$3" 3<&- &
copy=$!
[ -z "$ended" ] || kill $copy
wait $copy
status=$?
fsfreeze --unfreeze /proc/self/fd/3
exit $status
"""
TOLD_OF_OUR_END = ("setpriv", "--pdeathsig=TERM", "--")
FREEZE_LIMIT = 300

# XFS grows only while mounted (xfs_growfs(8)); this mount goes with the shell, at the
# latest.  $1: the device, $2: any directory.
GROW_XFS = """
mount -t xfs -o nodev,nosuid -- "$1" "$2" || exit 1
xfs_growfs -d "$2"
status=$?
umount -- "$2"
exit $status
"""

# ioctl(2) numbers, from fs/ext4/ext4.h and xfs_fs.h.
EXT4_IOC_RESIZE_FS = 0x40086610
XFS_INODE_PERCENT = 25  # what mkfs.xfs(8) chose, as it does below 1 TiB
XFS_IOC_FSGROWFSDATA = 0x4010586E


@implementer(IDiskDriver)
class ImageDisks:
    """
    The default driver.

    A VM sees a disk as a block device node in its C{/dev}, allowed in its cgroup while
    the disk is attached; the agent mounts it as it would on any IaaS.

    @param full: whether a disk's space is taken when it is made.
    @param filesystem: for what VMs keep on C{/var/vcap/data}.
    """

    log = Logger()
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
        self._ephemeral_filesystem = filesystem
        self._processes, self._loops = processes, loops
        self._rules, self._guests, self._full = rules, guests, full

    def check(self, filesystem: str, size: int) -> None:
        """
        @raise InvalidArgument: if a file system cannot be that small.
        """
        if size < LEAST[filesystem]:
            raise InvalidArgument(
                f"size: {size} MiB; a disk with {filesystem} has at least "
                f"{LEAST[filesystem]} MiB"
            )

    def hint(self, disk_cid: str) -> str:
        """Return the path of the disk's node in its VM."""
        return f"/dev/{disk_cid}"

    async def create(self, path: Path, size: int, filesystem: str) -> None:
        """
        Make an empty disk.

        @raise NoDiskSpace: if it is to be allocated in full, and there is no room.
        @raise CloudError: if the file system cannot be made.
        """
        await self._create_file(path / IMAGE, size, filesystem)

    async def _create_file(self, image: Path, size: int, filesystem: str) -> None:
        """Make a file with an empty file system in it."""
        await deferToThread(_extend, image, size * MEBIBYTE, self._full)
        await self._tool([*MKFS[filesystem], str(image)])

    async def make_ephemeral(self, bundle: Path, size: int) -> None:
        """
        Make what a VM's /var/vcap/data will be on.

        @raise InvalidArgument: if a file system cannot be that small.
        """
        self.check(self._ephemeral_filesystem, size)
        await self._create_file(bundle / EPHEMERAL, size, self._ephemeral_filesystem)

    async def sweep(self, directory: Path, kept: Sequence[Path]) -> list[str]:
        """Let go of loop devices of files below C{directory} that no VM needs."""
        needed = [path / name for path in kept for name in (IMAGE, EPHEMERAL)]
        return await self._loops.sweep(directory, needed)

    def allocated(self, path: Path) -> int:
        """Say how many bytes the file takes by now."""
        return (path / IMAGE).stat().st_blocks * BLOCK

    def ephemeral_room(self, bundle: Path) -> int:
        """Say by how many bytes what is behind /var/vcap/data may still grow."""
        try:
            found = (bundle / EPHEMERAL).stat()
        except OSError:
            return 0  # it has none, or is no VM's directory
        return max(0, found.st_size - found.st_blocks * BLOCK)

    async def attach(
        self, path: Path, disk_cid: str, container: ContainerState, attached: Sequence[Path]
    ) -> bool:
        """
        Attach the file to a loop device, and make its node in a running VM.

        @return: whether one of them was not there.
        @raise CloudError: if the kernel refuses.
        """
        changed = await self._loops.find(path / IMAGE) is None
        device = await self._loops.attach(path / IMAGE)
        if container.pid is not None:
            await self._allow(container, attached)
            making = partial(guests.make_node, container.pid, disk_cid, device.number)
            made = await self._guests.run(container.vm_cid, making)
            changed = changed or made
        return changed

    async def detach(
        self, path: Path, disk_cid: str, container: ContainerState, attached: Sequence[Path]
    ) -> None:
        """
        Unmount the disk wherever the VM mounted it, and take its node and device away.

        @raise DiskBusy: if a process of the VM still uses it; it stays attached.
        @raise CloudError: if the kernel refuses.
        """
        image = path / IMAGE
        if container.pid is None:
            await self._loops.detach(image, PATIENCE_WITH_THE_DEAD)
            return
        device = await self._loops.find(image)
        if device is not None:
            await self._flush(path, container)
            unmounting = partial(
                mounts.unmount_everywhere, container.cgroup, _is_of(device)
            )
            await self._guests.run(container.vm_cid, unmounting)
        # First of all, for the device may be another file's the moment it is let go.
        await self._allow(container, attached)
        try:
            await self._loops.detach(image, PATIENCE)
        except DiskBusy:
            assert device is not None
            await self._allow(container, [*attached, path])
            telling = partial(mounts.device_holder, container.cgroup, device.number)
            who = await self._guests.run(container.vm_cid, telling)
            hint = self.hint(disk_cid)
            raise DiskBusy(f"the disk is still in use as {hint}, {who}") from None
        removing = partial(guests.remove_node, container.pid, disk_cid)
        await self._guests.run(container.vm_cid, removing)

    async def _allow(self, container: ContainerState, attached: Sequence[Path]) -> None:
        """Let a VM's processes open these disks, and no others."""
        minors = await self._loops.minors([path / IMAGE for path in attached])
        allowing = partial(self._rules.allow_loops, container.cgroup, minors)
        await self._guests.run(container.vm_cid, allowing)

    async def _flush(self, path: Path, container: ContainerState) -> None:
        """Write a disk's data back first: visits to VMs are to be short."""
        try:
            async with self._mounted(path, container) as mount:
                if mount is not None:
                    await self._guests.run(
                        container.vm_cid, partial(mounts.sync, mount), seconds=TOOL_TIMEOUT
                    )
        except (CloudError, OSError) as error:
            self.log.warn("{path}: {error}", path=str(path), error=str(error))

    async def boot(self, disks: Mapping[str, Path], container: ContainerState) -> BootParts:
        """Have the specification make the nodes."""
        devices = {
            disk_cid: await self._loops.attach(path / IMAGE)
            for disk_cid, path in disks.items()
        }
        nodes = [
            {
                "path": self.hint(disk_cid),
                "type": "b",
                "major": os.major(device.number),
                "minor": device.minor,
                "fileMode": 0o660,
            }
            for disk_cid, device in devices.items()
        ]
        minors = [device.minor for device in devices.values()]
        mounts = []
        if (container.bundle / EPHEMERAL).exists():
            ephemeral = await self._loops.attach(container.bundle / EPHEMERAL)
            mounts.append(_mount(EPHEMERAL_POINT, ephemeral, self._ephemeral_filesystem))
            minors.append(ephemeral.minor)
        return BootParts(devices=nodes, mounts=mounts, rules=self._rules.for_spec(minors))

    async def booted(
        self,
        attached: Sequence[Path],
        container: ContainerState,
        store: str | None,
        filesystem: str,
    ) -> None:
        """Narrow what the specification had to allow to what is attached; mount."""
        await self._allow(container, attached)
        if store is not None and container.pid is not None:
            # By the name that the agent knows it by, and looks for among the mounts.
            source = self.hint(store)
            mounting = partial(guests.mount, container.pid, source, STORE, filesystem)
            try:
                await self._guests.run(container.vm_cid, mounting)
            except CloudError as error:
                raise CloudError(f"{store} cannot be mounted: {error}") from None
        # Mounted by now: the device goes when the VM's mount does.
        await self._loops.let_go(container.bundle / EPHEMERAL)

    async def halted(self, container: ContainerState) -> None:
        """Let go of what a boot that failed left; disks keep their loop devices."""
        await self._loops.let_go(container.bundle / EPHEMERAL)

    async def grow(
        self, path: Path, size: int, filesystem: str, container: ContainerState | None
    ) -> None:
        """
        Make a disk larger.

        @raise NotSupported: if this host cannot grow it while it is mounted.
        @raise CloudError: if a tool fails.
        """
        image = path / IMAGE
        async with self._mounted(path, container) as mount:
            if mount is not None:
                _check_growable(filesystem)
            await deferToThread(_extend, image, size * MEBIBYTE, self._full)
            device = await self._loops.find(image)
            if device is not None:
                await self._loops.resized(device)
            if mount is not None and container is not None:
                growing = partial(_grow_mounted, mount, filesystem, size * MEBIBYTE)
                await self._guests.run(container.vm_cid, growing, seconds=TOOL_TIMEOUT)
            elif filesystem == "ext4":
                target = str(image) if device is None else device.path
                # Exit status 1 means that errors were corrected (e2fsck(8)).
                await self._change(["e2fsck", "-fp", target], good=(0, 1))
                await self._change(["resize2fs", target])
            else:
                await self._grow_xfs(path, attached=device is not None)

    async def _grow_xfs(self, path: Path, *, attached: bool) -> None:
        image = path / IMAGE
        device = await self._loops.attach(image)
        try:
            argv = ["unshare", "--mount", "--propagation=private", "sh", "-c", GROW_XFS]
            await self._change([*argv, "grow", device.path, str(path)])
        finally:
            if not attached:
                await self._loops.detach(image, PATIENCE)

    async def snapshot(
        self, path: Path, target: Path, container: ContainerState | None
    ) -> None:
        """
        Copy the file; while a VM has it mounted, its file system is frozen for that.

        Where the host can share the blocks, the copy is a matter of one moment, and as
        good as after a power cut; nothing is frozen then.

        @raise CloudError: if the copy fails.
        """
        image, copy = path / IMAGE, target / IMAGE
        reflink = ["cp", "--reflink=always", "--", str(image), str(copy)]
        outcome = await self._processes.run(reflink, timeout=COPY_TIMEOUT, lane=Lane.BULK)
        if outcome.ok:
            return
        copy.unlink(missing_ok=True)
        async with self._mounted(path, container) as mount:
            if mount is None or container is None:
                argv = ["cp", "--sparse=always", "--", str(image), str(copy)]
                outcome = await self._processes.run(
                    argv, timeout=COPY_TIMEOUT, lane=Lane.BULK
                )
                _check(outcome)
                return
            limit = str(FREEZE_LIMIT)
            argv = [*TOLD_OF_OUR_END, "sh", "-c", FROZEN_COPY, "snapshot"]
            argv += [limit, str(image), str(copy)]
            timeout = FREEZE_LIMIT + TOOL_TIMEOUT
            try:
                outcome = await self._processes.run(
                    argv,
                    timeout=timeout,
                    lane=Lane.BULK,
                    inherit={3: mount},
                    dies_with_us=False,
                )
                _check(outcome)
            finally:
                # Had the shell been killed, nobody would.
                await self._guests.run(container.vm_cid, partial(thaw, mount))

    async def thaw(self, path: Path, container: ContainerState) -> bool:
        """
        Let a VM write to a disk again, after a snapshot that was cut off.

        @return: whether it was frozen.
        @raise CloudError: if the kernel refuses.
        """
        async with self._mounted(path, container) as mount:
            if mount is None:
                return False
            return await self._guests.run(container.vm_cid, partial(thaw, mount))

    @asynccontextmanager
    async def _mounted(
        self, path: Path, container: ContainerState | None
    ) -> AsyncIterator[int | None]:
        """
        Open a disk's file system where a VM has it mounted, if it has.

        @raise CloudError: if it is mounted, but out of reach.
        """
        device = await self._loops.find(path / IMAGE)
        mount = None
        if device is not None and container is not None and container.pid is not None:
            wanted = _is_of(device)
            opening = partial(mounts.open_mounted, container.cgroup, device.number, wanted)
            mount = await self._guests.run(container.vm_cid, opening, unwanted=_close_mount)
        try:
            yield mount
        finally:
            # If the VM has let go meanwhile, this unmounts, and writes what is unwritten.
            await deferToThread(_close_mount, mount)

    async def _tool(self, argv: Sequence[str]) -> None:
        _check(await self._processes.run(argv, timeout=TOOL_TIMEOUT))

    async def _change(self, argv: Sequence[str], good: Sequence[int] = (0,)) -> None:
        """Change a file system that has data in it, which is not to be broken off."""
        outcome = await self._processes.run(
            argv, timeout=TOOL_TIMEOUT, lane=Lane.BULK, dies_with_us=False
        )
        _check(outcome, good)


def _check(outcome: Outcome, good: Sequence[int] = (0,)) -> None:
    """
    @raise NoDiskSpace: if a tool found the host's file system full.
    @raise CloudError: if it failed for another reason.
    """
    if outcome.status not in good:
        if b"No space left on device" in outcome.stderr:
            raise NoDiskSpace(outcome.complaint())
        raise CloudError(outcome.complaint())


def _check_growable(filesystem: str) -> None:
    """
    @raise NotSupported: if a file system cannot be grown while it is mounted.
    """
    if filesystem == "ext4" and "CAP_SYS_RESOURCE" not in capabilities.grantable(
        frozenset()
    ):
        raise NotSupported(
            "ext4 cannot be grown while it is mounted: the daemon lacks "
            "CAP_SYS_RESOURCE; detach the disk first"
        )


def _is_of(device: LoopDevice) -> Callable[[Mount], bool]:
    def is_of(mount: Mount) -> bool:
        return mount.device == device.key

    return is_of


def _mount(destination: str, device: LoopDevice, filesystem: str) -> dict[str, Any]:
    return {
        "destination": destination,
        "type": filesystem,
        "source": device.path,
        "options": ["rw"],
    }


def _close_mount(mount: int | None) -> None:
    if mount is not None:
        os.close(mount)


def _extend(image: Path, size: int, full: bool) -> None:
    fd = os.open(image, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if full:
            os.posix_fallocate(fd, 0, size)
        elif os.fstat(fd).st_size < size:
            # It may be larger already: its growth was cut off before it was recorded.
            os.truncate(fd, size)
        os.fsync(fd)
    finally:
        os.close(fd)


def _grow_mounted(mount: int, filesystem: str, size: int) -> None:
    own = os.dup(mount)  # whoever waits for this may give it up
    try:
        blocks = size // os.fstatvfs(own).f_bsize
        if filesystem == "ext4":
            request, argument = EXT4_IOC_RESIZE_FS, struct.pack("<Q", blocks)
        else:
            request = XFS_IOC_FSGROWFSDATA
            argument = struct.pack("<QII", blocks, XFS_INODE_PERCENT, 0)
        fcntl.ioctl(own, request, argument)
    finally:
        os.close(own)
