"""Loop devices: block devices made of files, without holding up the reactor."""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from runc_cpi.daemon.base.calls import spanned
from runc_cpi.daemon.base.shortage import failed_call
from runc_cpi.daemon.host.disks import loop_ioctl
from runc_cpi.daemon.host.disks.loop_ioctl import LoopDevice
from runc_cpi.errors import CloudError, DiskBusy, HostShort

ATTACH_TRIES = 3
RELEASE_PAUSE = 0.02  # seconds


class LoopDevices:
    """
    Attaches files to loop devices, and detaches them.

    L{find} looks at all devices of the host, unless it knows one that is still of the file:
    an operation calls it once, and hands on what it found.

    @param direct_io: whether to bypass the page cache of the file's own file system.
    """

    def __init__(self, reactor: Any, *, direct_io: bool) -> None:
        self._reactor, self._direct_io = reactor, direct_io
        # Which device each file had when it was last attached or found.
        self._last: dict[Path, LoopDevice] = {}

    @spanned("loop devices")
    async def find(self, images: Collection[Path]) -> dict[Path, LoopDevice]:
        """Return the devices of those of some files that are attached to one."""
        found = await deferToThread(self._find, images)
        self._last.update(found)
        return found

    def _find(self, images: Collection[Path]) -> dict[Path, LoopDevice]:
        known = {image: self._last[image] for image in images if image in self._last}
        found = {
            image: device
            for image, device in known.items()
            if loop_ioctl.is_of(device, image)
        }
        others = [image for image in images if image not in found]
        return {**found, **loop_ioctl.devices_of(others)}

    @spanned("loop device")
    async def attach(self, image: Path, found: LoopDevice | None) -> LoopDevice:
        """
        Attach a file; one that is attached already keeps its device.

        @param found: what L{find} said of it.
        @raise CloudError: if there is no loop device to be had.
        """
        attaching = partial(_attach, image, found, direct_io=self._direct_io)
        try:
            device = await deferToThread(attaching)
        except OSError as error:
            text = f"{image} cannot be attached to a loop device: {error.strerror}"
            raise failed_call(error.errno, text) from error
        if device is None:
            raise HostShort(f"{image}: its loop device goes as soon as it is there")
        self._last[image] = device
        return device

    @spanned("loop device")
    async def detach(self, device: LoopDevice, image: Path, patience: float) -> None:
        """
        Detach a file from its device, and wait until that is so.

        @param patience: how many seconds to wait for the last user to be gone.
        @raise DiskBusy: if something holds the device, which stays as it was.
        @raise OSError: if the device cannot be kept as it was.
        """
        self._last.pop(image, None)
        reason = "it is still in use"
        try:
            await deferToThread(loop_ioctl.clear, device, image)
        except OSError as error:
            reason = str(error.strerror)
        # The kernel lets go with the last user.
        deadline = self._reactor.seconds() + patience
        while await deferToThread(loop_ioctl.is_of, device, image):
            if self._reactor.seconds() > deadline:
                # Or it would go later, when nobody expects it.
                if await deferToThread(loop_ioctl.keep, device, image):
                    raise DiskBusy(f"{device.path} cannot be detached: {reason}")
                return
            await deferLater(self._reactor, RELEASE_PAUSE)

    async def let_go(self, device: LoopDevice, image: Path) -> None:
        """
        Have a file detached once nothing uses its device, which may be at once.

        @raise CloudError: if the kernel refuses.
        """
        self._last.pop(image, None)
        try:
            await deferToThread(loop_ioctl.clear, device, image)
        except OSError as error:
            raise CloudError(f"{device.path} cannot be let go: {error.strerror}") from error

    async def sweep(self, directory: Path, kept: Collection[Path]) -> list[str]:
        """
        Let go of devices that nobody needs.

        @param directory: only files below it are considered.
        @param kept: files whose devices are needed.
        @return: the files whose devices were let go.
        @raise OSError: if the kernel refuses.
        """
        return await deferToThread(_sweep, directory, kept)

    async def take_size(self, device: LoopDevice) -> None:
        """
        Have a device take on the size that its file has by now.

        @raise CloudError: if the kernel refuses.
        """
        try:
            await deferToThread(loop_ioctl.take_size, device)
        except OSError as error:
            raise CloudError(f"{device.path} keeps its size: {error.strerror}") from error


def _attach(image: Path, found: LoopDevice | None, *, direct_io: bool) -> LoopDevice | None:
    """Attach a file; return nothing if each device went before it could be kept."""
    for _ in range(ATTACH_TRIES):
        device = found or loop_ioctl.configure(image, direct_io=direct_io)
        if loop_ioctl.keep(device, image):
            return device
        found = loop_ioctl.devices_of([image]).get(image)
    return None


def _sweep(directory: Path, kept: Collection[Path]) -> list[str]:
    wanted = {os.path.realpath(path) for path in kept}
    found = loop_ioctl.devices_below(directory)
    stray = [image for image in found if image not in wanted]
    for image in stray:
        loop_ioctl.clear(found[image], Path(image))
    return stray
