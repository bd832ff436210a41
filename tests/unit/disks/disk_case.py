"""What tests of disks share: a daemon's parts on a real directory over fake drivers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from runc_cpi.daemon.disks.disk import Disk
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.records import read_record
from tests.fakes.assembly import assemble
from tests.fakes.script import Script

GIBIBYTE = 1 << 30


class DiskTestCase(TestCase):
    """
    One daemon's disks.

    @ivar script: what is asked of the driver.
    @ivar host: what is asked of all else.
    """

    timeout = 20

    async def setUp(self) -> None:
        self.script, self.host = Script(), Script()
        self.depot = Depot(Path(os.path.abspath(self.mktemp())))
        self.depot.prepare()
        self.addCleanup(self.depot.release)
        self.free = 8 * GIBIBYTE
        self.patch(os, "statvfs", self.statvfs)
        await self.begin()

    def statvfs(self, path: Any) -> Any:
        """Say how much room there is."""
        blocks = self.free // 4096
        return os.statvfs_result((4096, 4096, blocks, blocks, blocks, 9, 9, 9, 0, 255))

    async def begin(self, overcommit: float = 1.0) -> None:
        """Start a daemon over what is on disk, as the service does."""
        parts = assemble(self.host, self.depot, self.script, overcommit=overcommit)
        self.disks, self.vms, self.driver = parts.disks, parts.vms, parts.driver
        self.snapshots = parts.snapshots
        self.stemcells, self.runtime, self.guests = (
            parts.stemcells,
            parts.runtime,
            parts.guests,
        )
        await parts.load()
        self.script.done.clear()

    async def make(self, size: int = 1024, **cloud_properties: Any) -> str:
        """Make a disk."""
        return (await self.disks.create(size, cloud_properties)).disk_cid

    def container(self, vm_cid: str = "vm-1") -> ContainerState:
        """Describe a container that runs."""
        bundle = Bundle(self.depot.vms / vm_cid)
        return ContainerState(bundle=bundle, pid=4242, cgroup=f"/c/{vm_cid}")

    async def attach(self, disk_cid: str, vm_cid: str = "vm-1", told: bool = True) -> str:
        """Attach a disk; agents are told of it unless the test says otherwise."""
        container = self.container(vm_cid)
        return await self.disks.attach(vm_cid, disk_cid, container, in_settings=not told)

    async def detach(self, disk_cid: str, vm_cid: str = "vm-1") -> None:
        """Detach a disk."""
        await self.disks.detach(vm_cid, disk_cid, self.container(vm_cid))

    def seen(self, vm_cid: str = "vm-1") -> set[str]:
        """Return the disks that a VM sees."""
        return self.driver.seen.get(self.depot.vms / vm_cid, set())

    def record(self, disk_cid: str) -> Disk:
        """Return what is on disk about a disk."""
        return Disk.from_json(read_record(self.depot.disks / disk_cid / "disk.json"))
