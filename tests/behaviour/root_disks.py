"""How root disks of VMs behave: L{IRootDisks}."""

from __future__ import annotations

from runc_cpi.daemon.vms.interfaces import IRootDisks
from tests.behaviour.case import HostCase

SIZE = 64  # MiB


class Behaviour(HostCase):
    """Root disks of VMs that do not run."""

    interfaces = (IRootDisks,)

    async def make(self) -> None:
        """Make a VM's root disk, with a file on it."""
        self.bundle.path.mkdir()
        await self.root_disks.make(self.bundle, SIZE)
        (self.bundle.layers / "file").write_text("kept")

    def content(self) -> str:
        """Return what is in the file."""
        return (self.bundle.layers / "file").read_text()

    async def test_files_can_be_made_on_a_new_one(self) -> None:
        """C{make} leaves the root disk mounted, and there is one for each VM."""
        await self.make()
        self.assertEqual(self.content(), "kept")

    async def test_one_that_is_mounted_stays_so(self) -> None:
        """C{mount} does nothing if the root disk is mounted."""
        await self.make()
        await self.root_disks.mount(self.bundle)
        self.assertEqual(self.content(), "kept")

    async def test_files_outlive_a_new_mount(self) -> None:
        """C{mount_afresh} keeps the files."""
        await self.make()
        await self.root_disks.mount_afresh(self.bundle)
        self.assertEqual(self.content(), "kept")

    async def test_one_that_is_synced_stays_as_it_is(self) -> None:
        """C{sync} leaves the root disk mounted, with its files."""
        await self.make()
        await self.root_disks.sync(self.bundle)
        self.assertEqual(self.content(), "kept")

    async def test_a_vm_without_one(self) -> None:
        """For a VM without a root disk there is nothing to do."""
        self.bundle.path.mkdir()
        await self.root_disks.sync(self.bundle)
        await self.root_disks.mount(self.bundle)
        await self.root_disks.mount_afresh(self.bundle)
        self.assertFalse(self.bundle.layers.exists())
