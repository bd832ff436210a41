"""Copies of disks that are files, also of disks that VMs write to."""

from __future__ import annotations

from pathlib import Path

from runc_cpi.daemon.disks import paths
from runc_cpi.daemon.host.disks.loop import LoopDevices
from runc_cpi.daemon.host.disks.mounted_disks import MountedDisks
from runc_cpi.daemon.host.disks.tools import TOOL_TIMEOUT, Tools, check
from runc_cpi.daemon.storage.container import ContainerState

FREEZE_LIMIT = 300  # seconds

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
TERMINATED_WITH_THE_DAEMON = ("setpriv", "--pdeathsig=TERM", "--")


class Copying:
    """Copies a disk's file, as it is at one moment."""

    def __init__(self, tools: Tools, loops: LoopDevices, mounted: MountedDisks) -> None:
        self._tools, self._loops, self._mounted = tools, loops, mounted

    async def copy(
        self, path: Path, target: Path, container: ContainerState | None
    ) -> None:
        """
        Copy a disk; while a VM has it mounted, its file system is frozen for that.

        Where the host can share the blocks, the copy is a matter of one moment, and as
        good as after a power cut; nothing is frozen then.

        @param path: the disk's directory.
        @param target: the directory that the copy is put in.
        @param container: of the VM that has the disk, if any.
        @raise NoDiskSpace: if the host's file system is full.
        @raise CloudError: if the copy fails for another reason.
        """
        image, copy = paths.image_of(path), paths.image_of(target)
        argv = ["cp", "--reflink=always", "--", str(image), str(copy)]
        if (await self._tools.copy(argv)).ok:
            return
        copy.unlink(missing_ok=True)
        device = (await self._loops.find([image])).get(image)
        async with self._mounted.opened(device, container) as mount:
            if mount is None or container is None:
                argv = ["cp", "--sparse=always", "--", str(image), str(copy)]
                check(await self._tools.copy(argv))
            else:
                await self._copy_frozen(image, copy, mount, container)

    async def _copy_frozen(
        self, image: Path, copy: Path, mount: int, container: ContainerState
    ) -> None:
        argv = [*TERMINATED_WITH_THE_DAEMON, "sh", "-c", FROZEN_COPY, "snapshot"]
        argv += [str(FREEZE_LIMIT), str(image), str(copy)]
        seconds = FREEZE_LIMIT + TOOL_TIMEOUT
        try:
            check(await self._tools.copy_mounted(argv, mount, seconds))
        finally:
            # Had the shell been killed, nobody would.
            await self._mounted.thaw(mount, container)
