"""Which loop devices are looked at to find that of a file."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.host.disks import loop_ioctl
from runc_cpi.daemon.host.disks.loop import LoopDevices
from runc_cpi.daemon.host.disks.loop_ioctl import LoopDevice

IMAGE, OTHER = Path("/image"), Path("/other")


class LoopDevicesTests(TestCase):
    """The kernel's answers are played here."""

    timeout = 20

    def setUp(self) -> None:
        self.attached = {
            IMAGE: LoopDevice("/dev/loop7", 7),
            OTHER: LoopDevice("/dev/l8", 8),
        }
        self.looks: list[list[Path]] = []
        self.patch(loop_ioctl, "devices_of", self.devices_of)
        self.patch(loop_ioctl, "is_of", lambda device, image: self.device(image) == device)
        self.patch(loop_ioctl, "clear", lambda _, image: self.attached.pop(image))
        self.loops = LoopDevices(reactor, direct_io=False)

    def device(self, image: Path) -> LoopDevice | None:
        """Return the device that a file has."""
        return self.attached.get(image)

    def devices_of(self, images: Collection[Path]) -> dict[Path, LoopDevice]:
        """Note for which files all devices are looked at."""
        self.looks.append(list(images))
        return {image: found for image in images if (found := self.device(image))}

    async def test_one_that_is_known(self) -> None:
        """All are looked at for the first time, and only for files without a known one."""
        self.assertEqual(await self.loops.find([IMAGE]), {IMAGE: self.attached[IMAGE]})
        self.assertEqual(await self.loops.find([IMAGE, OTHER]), self.attached)
        self.assertEqual(await self.loops.find([IMAGE, OTHER]), self.attached)
        self.assertEqual(self.looks, [[IMAGE], [OTHER], []])

    async def test_one_that_is_of_another_file_by_now(self) -> None:
        """What is known is not trusted."""
        await self.loops.find([IMAGE])
        self.attached[OTHER] = self.attached.pop(IMAGE)
        self.assertEqual(await self.loops.find([IMAGE]), {})
        self.assertEqual(self.looks, [[IMAGE], [IMAGE]])

    async def test_one_that_is_detached(self) -> None:
        """It is forgotten."""
        await self.loops.find([IMAGE])
        await self.loops.detach(self.attached[IMAGE], IMAGE, 1)
        self.assertEqual(await self.loops.find([IMAGE]), {})
