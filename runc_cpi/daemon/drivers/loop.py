"""Loop devices: block devices made of files."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater

from runc_cpi.daemon.drivers.process import Processes
from runc_cpi.errors import CloudError, DiskBusy

CALL_TIMEOUT = 30.0
RELEASE_TRIES = 20
RELEASE_PAUSE = 0.05


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

    async def attach(self, image: Path) -> LoopDevice:
        """
        Attach a file; one that is attached already keeps its device.

        @raise CloudError: if there is no loop device to be had.
        """
        found = find(image)
        if found is not None:
            return found
        direct_io = f"--direct-io={'on' if self._direct_io else 'off'}"
        argv = ["losetup", "--find", "--show", "--nooverlap", direct_io, str(image)]
        outcome = await self._processes.run(argv, timeout=CALL_TIMEOUT)
        if not outcome.ok:
            raise CloudError(outcome.complaint())
        path = outcome.stdout.decode("ascii").strip()
        return LoopDevice(path, os.stat(path).st_rdev)

    async def detach(self, image: Path) -> None:
        """
        Detach a file; one that is not attached is no error.

        @raise DiskBusy: if something holds the device.
        """
        device = find(image)
        if device is None:
            return
        argv = ["losetup", "--detach", device.path]
        outcome = await self._processes.run(argv, timeout=CALL_TIMEOUT)
        # The kernel lets go with the last user, which losetup does not wait for.
        for _ in range(RELEASE_TRIES):
            if find(image) is None:
                return
            await deferLater(self._reactor, RELEASE_PAUSE)
        reason = "it is still in use" if outcome.ok else outcome.complaint()
        raise DiskBusy(f"{device.path} cannot be detached: {reason}")

    async def let_go(self, image: Path) -> None:
        """Have a device detached once nothing uses it, which may be at once."""
        device = find(image)
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
        found, below = attached(), os.path.realpath(directory)
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


def find(image: Path) -> LoopDevice | None:
    """Return the device that C{image} is attached to, if any."""
    # The kernel tells the real path of the file.
    return attached().get(os.path.realpath(image))


def attached() -> dict[str, LoopDevice]:
    """Return all loop devices in use, by the path of their files."""
    devices = {}
    for entry in Path("/sys/block").glob("loop*"):
        try:
            backing = (entry / "loop" / "backing_file").read_text("utf-8").rstrip("\n")
            major, minor = (entry / "dev").read_text("ascii").split(":")
        except OSError:
            continue
        number = os.makedev(int(major), int(minor))
        devices[backing] = LoopDevice(f"/dev/{entry.name}", number)
    return devices
