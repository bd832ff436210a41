"""How disks behave, of whatever driver: L{IDiskDriver}."""

from __future__ import annotations

from pathlib import Path

from runc_cpi.daemon.disks.interfaces import IDiskDriver
from runc_cpi.daemon.storage.container import ContainerState
from tests.behaviour.case import HostCase

DISK, OTHER = "disk-1", "disk-2"
SIZE = 16  # MiB
FILESYSTEM = "ext4"


class Behaviour(HostCase):
    """Disks from their making on, for VMs that run and for those that do not."""

    interfaces = (IDiskDriver,)

    async def make(self, disk_cid: str) -> Path:
        """Make a disk, and return its directory."""
        path = self.directory / disk_cid
        path.mkdir()
        await self.driver.create(path, SIZE, FILESYSTEM)
        return path

    async def run_vm(self, *disks: Path) -> ContainerState:
        """Boot a VM with disks, and return the state of its container."""
        self.make_directory()
        by_cid = {path.name: path for path in disks}
        parts = await self.driver.boot(by_cid, self.state())
        self.make_bundle(parts)
        state = self.state(await self.create())
        await self.driver.booted(list(disks), state, None, FILESYSTEM)
        await self.start()
        return state

    async def end_vm(self) -> None:
        """Take the VM down."""
        await self.delete()
        await self.driver.halted(self.state())

    async def test_a_disk_is_attached_once(self) -> None:
        """C{attach} says that there was something to do, and the second time not."""
        path = await self.make(DISK)
        state = await self.run_vm()
        self.assertIs(await self.driver.attach(path, DISK, state, [path]), True)
        self.assertIs(await self.driver.attach(path, DISK, state, [path]), False)
        await self.driver.detach(path, DISK, state, [])
        await self.end_vm()

    async def test_a_disk_is_attached_again(self) -> None:
        """After C{detach} there is something to do again."""
        path = await self.make(DISK)
        state = await self.run_vm()
        await self.driver.attach(path, DISK, state, [path])
        await self.driver.detach(path, DISK, state, [])
        self.assertIs(await self.driver.attach(path, DISK, state, [path]), True)
        await self.driver.detach(path, DISK, state, [])
        await self.end_vm()

    async def test_a_disk_that_the_vm_booted_with(self) -> None:
        """A disk that is there since the boot needs no C{attach}."""
        path = await self.make(DISK)
        state = await self.run_vm(path)
        self.assertIs(await self.driver.attach(path, DISK, state, [path]), False)
        await self.driver.detach(path, DISK, state, [])
        await self.end_vm()

    async def test_detaching_a_disk_that_is_not_attached(self) -> None:
        """To detach a disk that the VM does not see is no error."""
        path, other = await self.make(DISK), await self.make(OTHER)
        state = await self.run_vm()
        await self.driver.detach(path, DISK, state, [])
        await self.driver.attach(other, OTHER, state, [other])
        await self.driver.detach(path, DISK, state, [other])
        self.assertIs(await self.driver.attach(other, OTHER, state, [other]), False)
        await self.driver.detach(other, OTHER, state, [])
        await self.end_vm()

    async def test_detaching_from_a_vm_that_does_not_run(self) -> None:
        """To detach a disk from a VM that does not run is no error."""
        path = await self.make(DISK)
        self.make_directory()
        await self.driver.detach(path, DISK, self.state(), [])

    async def test_the_room_of_a_disk(self) -> None:
        """A disk takes a number of bytes; if there is none, the error is the kernel's."""
        path = await self.make(DISK)
        self.assertGreaterEqual(self.driver.allocated(path), 0)
        if self.driver.keeps_to_sizes:
            with self.assertRaises(OSError):
                self.driver.allocated(self.directory / "none")

    async def test_a_vm_without_an_ephemeral_disk_takes_no_room(self) -> None:
        """C{ephemeral_room} is 0 for a VM without such a disk, and for no VM."""
        self.assertEqual(self.driver.ephemeral_room(self.bundle.path), 0)
        self.make_directory()
        self.assertEqual(self.driver.ephemeral_room(self.bundle.path), 0)

    async def test_an_ephemeral_disk_may_grow_to_its_size(self) -> None:
        """C{ephemeral_room} is at most the size of the ephemeral disk, in bytes."""
        self.make_directory()
        await self.driver.make_ephemeral(self.bundle.path, SIZE)
        room = self.driver.ephemeral_room(self.bundle.path)
        self.assertLessEqual(room, SIZE << 20)
        self.assertEqual(room > 0, self.driver.keeps_to_sizes)

    async def test_a_disk_grows(self) -> None:
        """C{grow} makes a disk that no VM has larger."""
        path = await self.make(DISK)
        await self.driver.grow(path, 2 * SIZE, FILESYSTEM, None)

    async def test_a_snapshot_is_a_disk(self) -> None:
        """C{snapshot} leaves in its target what C{create} leaves in a disk's directory."""
        path = await self.make(DISK)
        target = self.directory / "snapshot"
        target.mkdir()
        await self.driver.snapshot(path, target, None)
        names = [sorted(entry.name for entry in at.iterdir()) for at in (path, target)]
        self.assertEqual(names[0], names[1])

    async def test_nothing_is_frozen_without_a_snapshot(self) -> None:
        """C{thaw} says that the VM could write already."""
        path = await self.make(DISK)
        state = await self.run_vm(path)
        self.assertIs(await self.driver.thaw(path, state), False)
        await self.driver.detach(path, DISK, state, [])
        await self.end_vm()

    async def test_a_sweep_of_what_is_needed(self) -> None:
        """C{sweep} lets go of nothing that is to be kept."""
        path = await self.make(DISK)
        state = await self.run_vm(path)
        self.assertEqual(list(await self.driver.sweep(self.directory, [path])), [])
        await self.driver.detach(path, DISK, state, [])
        await self.end_vm()
