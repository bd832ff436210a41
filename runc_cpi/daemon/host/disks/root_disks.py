"""Root disks: files with a file system, which bound what VMs change on C{/}."""

from __future__ import annotations

import os
from functools import partial

from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from zope.interface import implementer

from runc_cpi.daemon.host import mounting
from runc_cpi.daemon.host.disks.blank_images import BlankImages
from runc_cpi.daemon.host.disks.filesystems import EXT4, Command
from runc_cpi.daemon.host.disks.loop import LoopDevices
from runc_cpi.daemon.host.disks.loop_ioctl import LoopDevice
from runc_cpi.daemon.host.disks.tools import Tools
from runc_cpi.daemon.host.guests.guests import Guests
from runc_cpi.daemon.host.libc import sync_file_system
from runc_cpi.daemon.host.processes import Lane, Processes
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.records import sync_file
from runc_cpi.daemon.vms.interfaces import IRootDisks
from runc_cpi.errors import CloudError, DiskBusy

# ext4(5): what a VM deletes is free on the host again, and no tables of inodes are cleared
# in the background, for a new file is all zeros.
OPTIONS = "discard,noinit_itable"
# A mount in a VM that was killed may go a moment after its processes.
PATIENCE = 2.0  # seconds
WRITING_BACK = 600.0  # seconds that it may take to unmount


@implementer(IRootDisks)
class RootDisks:
    """
    Makes the files sparse, and mounts them on the host, each in its VM's directory.

    The overlay that is a VM's root file system is on top of that mount.  The loop device
    goes when neither the host nor a container has it mounted any more.

    @param bounded: whether root disks are made; those that there are get mounted anyway.
    """

    log = Logger()

    def __init__(
        self, processes: Processes, loops: LoopDevices, guests: Guests, *, bounded: bool
    ) -> None:
        self._tools, self._loops, self._guests = Tools(processes), loops, guests
        self._bounded = bounded
        self._images = BlankImages(self._tools)

    async def make(self, bundle: Bundle, size: int) -> None:
        """
        Make an empty root disk, and mount it.

        @param size: MiB.
        @raise NoDiskSpace: if the host's file system is full.
        @raise CloudError: if it cannot be made or mounted.
        @raise OSError: if a file cannot be made.
        """
        if not self._bounded:
            self.log.warn(
                "{vm_cid}: disks.driver directory keeps to no root_disk_size",
                vm_cid=bundle.vm_cid,
            )
            return
        await self._images.create(bundle.root_image, size)
        await deferToThread(bundle.layers.mkdir, mode=0o700)
        await self._mount(bundle, None)

    async def sync(self, bundle: Bundle) -> None:
        """
        Have on the host's disk what is on a root disk, unless the VM has none.

        @raise OSError: if the disk fails, or is full.
        """
        if await deferToThread(bundle.root_image.exists):
            await deferToThread(_sync, bundle)

    async def mount(self, bundle: Bundle) -> None:
        """
        Mount a root disk, unless it is mounted or the VM has none.

        @raise CloudError: if it cannot be mounted.
        """
        if await deferToThread(_is_unmounted, bundle):
            await self._mend_and_mount(bundle)

    async def mount_afresh(self, bundle: Bundle) -> None:
        """
        Mount a root disk as for the first time, unless the VM has none.

        A file system that failed, because the host's was full, can be written again then.

        @raise CloudError: if it cannot be mounted.
        """
        if await deferToThread(bundle.root_image.exists):
            if await deferToThread(os.path.ismount, bundle.layers):
                # Its own thread, for this may write much.
                unmounting = partial(mounting.detach, str(bundle.layers))
                await self._guests.run(bundle.vm_cid, unmounting, seconds=WRITING_BACK)
            await self._mend_and_mount(bundle)

    async def _mend_and_mount(self, bundle: Bundle) -> None:
        image = bundle.root_image
        found = (await self._loops.find([image])).get(image)
        if found is not None:
            try:
                await self._loops.detach(found, image, PATIENCE)
                found = None
            except DiskBusy:
                self.log.debug("{image} is still in use", image=str(image))
        if found is None:
            await self._tools.change(EXT4.mending(image), lane=Lane.QUICK)
        await self._mount(bundle, found)

    async def _mount(self, bundle: Bundle, found: LoopDevice | None) -> None:
        image = bundle.root_image
        device = await self._loops.attach(image, found)
        try:
            mount = partial(mounting.mount_harmless, device.path, str(bundle.layers))
            await deferToThread(mount, EXT4.name, OPTIONS)
        except OSError as error:
            raise CloudError(f"{image} cannot be mounted: {error.strerror}") from None
        finally:
            # The device goes when the mount does, or now if there is none.
            await self._loops.let_go(device, image)


def _sync(bundle: Bundle) -> None:
    try:
        # What was written so far is in the memory of the root disk's own file system.
        layers = os.open(bundle.layers, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_file_system(layers)
        finally:
            os.close(layers)
    finally:
        # If the host's file system is full, this says so; the above says that it failed.
        sync_file(bundle.root_image)


def _is_unmounted(bundle: Bundle) -> bool:
    return bundle.root_image.exists() and not os.path.ismount(bundle.layers)


async def unmount(tools: Tools, bundle: Bundle) -> None:
    """
    Unmount a root disk on the host, if it is mounted, even if it is in use.

    This takes as long as it takes to write what the VM wrote last.

    @raise CloudError: if it stays mounted.
    """
    if await deferToThread(os.path.ismount, bundle.layers):
        await tools.change(Command(["umount", "--lazy", "--", str(bundle.layers)]))
