"""Disks of VMs that may open no devices: the daemon mounts them, with the VM's ids."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from runc_cpi.daemon.host.disks import mounts
from runc_cpi.daemon.host.disks.mountinfo import Mount
from runc_cpi.daemon.host.guests import guests
from runc_cpi.daemon.host.guests.guests import Guests
from runc_cpi.daemon.storage.container import ContainerState

# Agents look here for disks that are directories.
PLACES = "/warden-cpi-dev"
STORE = "/var/vcap/store"


def place_of(disk_cid: str) -> str:
    """Return where in its VM such a disk is mounted, for the agent to bind-mount."""
    return f"{PLACES}/{disk_cid}"


class PlacedDisks:
    """Mounts disks in running VMs whose users have ids of their own."""

    def __init__(self, guests: Guests) -> None:
        self._guests = guests

    async def place(
        self,
        container: ContainerState,
        point: str,
        make: Callable[[], AbstractContextManager[int]],
        wanted: Callable[[Mount], bool],
    ) -> bool:
        """
        Mount a file system in a running VM, unless it is mounted there.

        @param point: the mount point in the VM; it is made if it is not there.
        @param make: makes the mount, as L{runc_cpi.daemon.host.detached_mounts} does.
        @param wanted: recognizes mounts of the file system.
        @return: whether it was not mounted there.
        @raise CloudError: if the kernel refuses.
        """
        placing = partial(_place, container, point, make, wanted)
        return await self._guests.run(container.vm_cid, placing)

    async def mount_store(self, container: ContainerState, disk_cid: str) -> None:
        """
        Mount a disk that is in its place at C{/var/vcap/store} as well, as the agent did.

        @raise CloudError: if the kernel refuses.
        """
        if container.pid is not None:
            source = place_of(disk_cid)
            mounting = partial(guests.bind, container.pid, source, STORE)
            await self._guests.run(container.vm_cid, mounting)

    async def remove(self, container: ContainerState, disk_cid: str) -> None:
        """
        Remove the mount point of a disk that is mounted nowhere any more.

        @raise CloudError: if the kernel refuses.
        """
        if container.pid is not None:
            removing = partial(guests.remove_point, container.pid, place_of(disk_cid))
            await self._guests.run(container.vm_cid, removing)


def _place(
    container: ContainerState,
    point: str,
    make: Callable[[], AbstractContextManager[int]],
    wanted: Callable[[Mount], bool],
) -> bool:
    pid, ids = container.pid, container.bundle.ids
    assert pid is not None and ids is not None

    def is_there(mount: Mount) -> bool:
        return mount.point == point and wanted(mount)

    if mounts.mount_points(pid, is_there):
        return False
    guests.place(pid, make(), ids, point)
    return True
