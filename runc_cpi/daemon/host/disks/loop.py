"""Loop devices: block devices made of files."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from runc_cpi.daemon.host.processes import Processes
from runc_cpi.errors import CloudError, DiskBusy

CALL_TIMEOUT = 30.0
ATTACH_TRIES = 3
RELEASE_PAUSE = 0.02

# From linux/loop.h; struct loop_info64 is read and written as a whole.
LOOP_SET_STATUS64, LOOP_GET_STATUS64 = 0x4C04, 0x4C05
INFO_SIZE, FLAGS_AT, AUTOCLEAR = 232, 52, 4


@dataclass(frozen=True)
class LoopDevice:
    """
    A loop device.

    @ivar path: of its node on the host.
    @ivar number: as C{st_rdev} has it.
    """

    path: str
    number: int

    @property
    def minor(self) -> int:
        """Its minor number."""
        return os.minor(self.number)

    @property
    def goes_by_itself(self) -> bool:
        """Whether it is detached once what is mounted of it is unmounted."""
        flag = Path("/sys/block", os.path.basename(self.path), "loop", "autoclear")
        try:
            return flag.read_text("ascii").strip() == "1"
        except OSError:
            return True  # it is gone

    @property
    def key(self) -> str:
        """Its numbers as mountinfo has them."""
        return f"{os.major(self.number)}:{self.minor}"


class LoopDevices:
    """
    Attaches files to loop devices with losetup(8).

    @param direct_io: whether to bypass the page cache of the file's own file system.
    """

    def __init__(self, reactor: Any, processes: Processes, *, direct_io: bool) -> None:
        self._reactor, self._processes = reactor, processes
        self._direct_io = direct_io

    async def find(self, image: Path) -> LoopDevice | None:
        """Return the device that C{image} is attached to, if any."""
        # A host can have many devices, and all are looked at.
        return await deferToThread(find, image)

    async def minors(self, images: Sequence[Path]) -> list[int]:
        """Return the minor numbers of the devices of those of some files that have one."""
        devices = await deferToThread(attached)
        real = [os.path.realpath(image) for image in images]
        return [devices[image].minor for image in real if image in devices]

    async def attach(self, image: Path) -> LoopDevice:
        """
        Attach a file; one that is attached already keeps its device.

        @raise CloudError: if there is no loop device to be had.
        """
        for _ in range(ATTACH_TRIES):
            device = await self.find(image) or await self._make(image)
            if await deferToThread(_keep, device, image):
                return device
        raise CloudError(f"{image}: its loop device goes as soon as it is there")

    async def _make(self, image: Path) -> LoopDevice:
        direct_io = f"--direct-io={'on' if self._direct_io else 'off'}"
        argv = ["losetup", "--find", "--show", "--nooverlap", direct_io, str(image)]
        outcome = await self._processes.run(argv, timeout=CALL_TIMEOUT)
        if not outcome.ok:
            raise CloudError(outcome.complaint())
        path = outcome.stdout.decode("ascii").strip()
        return LoopDevice(path, os.stat(path).st_rdev)

    async def detach(self, image: Path, patience: float) -> None:
        """
        Detach a file; one that is not attached is no error.

        @param patience: how many seconds to wait for the last user to be gone.
        @raise DiskBusy: if something holds the device, which stays as it was.
        """
        device = await self.find(image)
        if device is None:
            return
        argv = ["losetup", "--detach", device.path]
        outcome = await self._processes.run(argv, timeout=CALL_TIMEOUT)
        # The kernel lets go with the last user, which losetup does not wait for.
        deadline = self._reactor.seconds() + patience
        while await self.find(image) is not None:
            if self._reactor.seconds() > deadline:
                # Or it would go later, when nobody expects it.
                if await deferToThread(_keep, device, image):
                    reason = "it is still in use" if outcome.ok else outcome.complaint()
                    raise DiskBusy(f"{device.path} cannot be detached: {reason}")
                return
            await deferLater(self._reactor, RELEASE_PAUSE)

    async def let_go(self, image: Path) -> None:
        """Have a device detached once nothing uses it, which may be at once."""
        device = await self.find(image)
        if device is not None:
            await self._processes.run(
                ["losetup", "--detach", device.path], timeout=CALL_TIMEOUT
            )

    async def sweep(self, directory: Path, kept: Collection[Path]) -> list[str]:
        """
        Let go of devices that nobody needs.

        @param directory: only files below it are considered.
        @param kept: files whose devices are needed.
        @return: the files whose devices were let go.
        """
        wanted = {os.path.realpath(path) for path in kept}
        found, below = await deferToThread(attached), os.path.realpath(directory)
        stray = [
            image
            for image, device in found.items()
            if image.startswith(f"{below}/")
            and image not in wanted
            and not device.goes_by_itself
        ]
        for image in stray:
            argv = ["losetup", "--detach", found[image].path]
            await self._processes.run(argv, timeout=CALL_TIMEOUT)
        return stray

    async def resized(self, device: LoopDevice) -> None:
        """
        Have a device take notice that its file has grown.

        @raise CloudError: if that fails.
        """
        argv = ["losetup", "--set-capacity", device.path]
        outcome = await self._processes.run(argv, timeout=CALL_TIMEOUT)
        if not outcome.ok:
            raise CloudError(outcome.complaint())


def _keep(device: LoopDevice, image: Path) -> bool:
    """
    Have a device outlive its last user, whatever was asked of it before.

    @return: whether it is there, and of C{image}.
    @raise OSError: if the kernel refuses.
    """
    file = os.stat(image)
    fd = os.open(device.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        info = bytearray(INFO_SIZE)
        fcntl.ioctl(fd, LOOP_GET_STATUS64, info)
        number, inode = struct.unpack_from("=QQ", info)
        if (number, inode) != (file.st_dev, file.st_ino):
            return False
        (flags,) = struct.unpack_from("=I", info, FLAGS_AT)
        if flags & AUTOCLEAR:
            struct.pack_into("=I", info, FLAGS_AT, flags & ~AUTOCLEAR)
            fcntl.ioctl(fd, LOOP_SET_STATUS64, info)
    except OSError as error:
        if error.errno != errno.ENXIO:  # there is no file behind it any more
            raise
        return False
    finally:
        os.close(fd)
    return True


def find(image: Path) -> LoopDevice | None:
    """Return the device that C{image} is attached to, if any."""
    # The kernel tells the real path of the file.
    return attached().get(os.path.realpath(image))


def attached() -> dict[str, LoopDevice]:
    """Return all loop devices in use, by the path of their files."""
    devices = {}
    for entry in Path("/sys/block").glob("loop*"):
        try:
            file = (entry / "loop" / "backing_file").read_bytes()
            major, minor = (entry / "dev").read_text("ascii").split(":")
        except OSError:
            continue
        number = os.makedev(int(major), int(minor))
        # The kernel ends the name with a newline, and escapes nothing in it.
        backing = os.fsdecode(file.removesuffix(b"\n"))
        devices[backing] = LoopDevice(f"/dev/{entry.name}", number)
    return devices
