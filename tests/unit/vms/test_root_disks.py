"""Root disks of VMs: who gets one, and when it is mounted."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.errors import CloudError, NoDiskSpace, VMCreationFailed
from tests.fakes.assembly import assemble, new_vm
from tests.fakes.script import Script

MAKING = "make a root disk of {} MiB"
SYNCING = "sync the root disk"
MOUNTING, MOUNTING_AFRESH = "mount the root disk", "mount the root disk afresh"


class RootDisksTests(TestCase):
    """VMs whose root disks are directories."""

    timeout = 20

    async def setUp(self) -> None:
        self.script = Script()
        self.depot = Depot(Path(os.path.abspath(self.mktemp())))
        self.depot.prepare()
        self.addCleanup(self.depot.release)
        await self.begin(1024)
        image = os.open(os.devnull, os.O_RDONLY)
        try:
            self.stemcell_cid = (await self.stemcells.create(image, {})).cid
        finally:
            os.close(image)

    async def begin(self, size: int | None) -> None:
        """Start a daemon with a size for all VMs that do not say."""
        parts = assemble(self.script, self.depot, root_disk_size=size)
        self.stemcells, self.vms, self.pools = parts.stemcells, parts.vms, parts.pools
        self.runtime = parts.runtime
        self.repairs = await parts.load()

    async def create(self, **properties: Any) -> Bundle:
        """Create a VM, and return its bundle."""
        vm = await self.vms.create(new_vm(self.stemcell_cid, cloud_properties=properties))
        return Bundle(self.depot.vms / vm.vm_cid)

    async def test_layers_are_on_the_root_disk(self) -> None:
        """Links lead to the upper layer and its work directory on the root disk."""
        bundle = await self.create()
        for path, mode in ((bundle.upper, 0o755), (bundle.work, 0o700)):
            self.assertEqual(path.resolve(), (bundle.layers / path.name).resolve())
            self.assertEqual(path.stat().st_mode & 0o777, mode)
        self.assertTrue((bundle.layers / "upper/etc/hosts").exists())

    async def test_sizes(self) -> None:
        """A VM's own size counts, and that of the host if the VM has none."""
        await self.create()
        self.assertIn(MAKING.format(1024), self.script.done)
        await self.create(root_disk_size=64)
        self.assertIn(MAKING.format(64), self.script.done)

    async def test_no_size(self) -> None:
        """Without any size there is no root disk, and the layers are plain directories."""
        await self.begin(None)
        bundle = await self.create()
        self.assertFalse(bundle.layers.exists())
        self.assertFalse(bundle.upper.is_symlink())
        await self.vms.reboot(bundle.vm_cid)
        self.assertNotIn(MOUNTING_AFRESH, self.script.done)

    async def test_it_is_mounted_afresh_by_a_reboot(self) -> None:
        """A reboot mounts the root disk anew once the VM is down, before it boots."""
        bundle = await self.create()
        self.script.done.clear()
        await self.vms.reboot(bundle.vm_cid)
        done = self.script.done
        self.assertLess(done.index("delete"), done.index(MOUNTING_AFRESH))
        self.assertLess(done.index(MOUNTING_AFRESH), done.index("create"))

    async def test_one_that_cannot_be_made(self) -> None:
        """A VM whose root disk cannot be made leaves nothing."""
        for error, told in (
            (CloudError("it is broken"), VMCreationFailed),
            (NoDiskSpace("it is full"), NoDiskSpace),
        ):
            self.script.failing = {MAKING.format(1024): error}
            with self.assertRaises(told):
                await self.create()
            self.assertEqual(os.listdir(self.depot.vms), [])

    async def test_a_full_disk_that_the_runtime_finds(self) -> None:
        """What a runtime says of a full disk is its own; the error is that of the disk."""
        full = OSError(errno.ENOSPC, "No space left on device")
        self.script.failing = {"create": CloudError("cannot write"), SYNCING: full}
        with self.assertRaises(NoDiskSpace):
            await self.create()
        # Another error of the disk does not stand for that of the runtime.
        self.script.failing[SYNCING] = OSError(errno.EIO, "Input/output error")
        with self.assertRaisesRegex(VMCreationFailed, "cannot write"):
            await self.create()
        self.assertEqual(os.listdir(self.depot.vms), [])

    async def test_a_start_mounts_it(self) -> None:
        """A start mounts root disks; one that it cannot mount is a problem of its VM."""
        bundle, other = await self.create(), await self.create()
        self.script.done.clear()
        await self.begin(1024)
        self.assertEqual(self.script.done.count(MOUNTING), 2)
        self.assertEqual(self.repairs.problems, [])
        self.script.failing = {MOUNTING: CloudError("it is broken")}
        await self.begin(1024)
        problems = [f"{each.vm_cid}: it is broken" for each in (bundle, other)]
        self.assertEqual(self.repairs.problems, sorted(problems))

    async def test_a_record_that_cannot_be_read(self) -> None:
        """Before the addresses of such a VM are read, its root disk is mounted."""
        bundle = await self.create()
        address = self.vms.all()[0].addresses[0]
        bundle.record.write_text("{")
        self.script.done.clear()
        await self.begin(1024)
        self.assertEqual(self.script.done.count(MOUNTING), 1)
        self.assertEqual(self.pools.owner(address), bundle.vm_cid)
