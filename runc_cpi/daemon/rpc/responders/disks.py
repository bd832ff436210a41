"""Answers to commands about disks and their snapshots."""

from __future__ import annotations

from typing import Any

from twisted.protocols import amp

from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.disks.snapshots import Snapshots
from runc_cpi.daemon.rpc import commands
from runc_cpi.daemon.rpc.receipts import Receipts
from runc_cpi.daemon.vms.vms import VMs

Answer = dict[str, Any]


class DiskResponders(amp.CommandLocator):
    """
    Answers commands about disks and their snapshots.

    @param disks: all persistent disks of this host.
    @param snapshots: all snapshots of them.
    @param vms: the VMs that disks are attached to.
    @param receipts: those that the caller at the other end owes.
    """

    def __init__(
        self, disks: Disks, snapshots: Snapshots, vms: VMs, receipts: Receipts
    ) -> None:
        self._disks, self._snapshots, self._vms = disks, snapshots, vms
        self._receipts = receipts

    @commands.CreateDisk.responder
    async def create_disk(
        self, size: int, cloud_properties: Any, confirms: bool = False
    ) -> Answer:
        disk = await self._disks.create(size, cloud_properties)
        await self._receipts.made(disk.disk_cid, self._disks.delete, confirms)
        return {"disk_cid": disk.disk_cid}

    @commands.DeleteDisk.responder
    async def delete_disk(self, disk_cid: str) -> Answer:
        await self._disks.delete(disk_cid)
        return {}

    @commands.HasDisk.responder
    def has_disk(self, disk_cid: str) -> Answer:
        return {"exists": self._disks.exists(disk_cid)}

    @commands.AttachDisk.responder
    async def attach_disk(self, vm_cid: str, disk_cid: str, in_settings: bool) -> Answer:
        hint = await self._vms.attach_disk(vm_cid, disk_cid, in_settings=in_settings)
        return {"hint": hint}

    @commands.DetachDisk.responder
    async def detach_disk(self, vm_cid: str, disk_cid: str) -> Answer:
        await self._vms.detach_disk(vm_cid, disk_cid)
        return {}

    @commands.GetDisks.responder
    def get_disks(self, vm_cid: str) -> Answer:
        return {"disk_cids": self._vms.disks_of(vm_cid)}

    @commands.ResizeDisk.responder
    async def resize_disk(self, disk_cid: str, size: int) -> Answer:
        async with self._vms.holding(disk_cid) as container:
            await self._disks.resize(disk_cid, size, container)
        return {}

    @commands.UpdateDisk.responder
    async def update_disk(self, disk_cid: str, size: int, cloud_properties: Any) -> Answer:
        async with self._vms.holding(disk_cid) as container:
            await self._disks.update(disk_cid, size, cloud_properties, container)
        return {}

    @commands.SetDiskMetadata.responder
    async def set_disk_metadata(self, disk_cid: str, metadata: Any) -> Answer:
        await self._disks.set_metadata(disk_cid, metadata)
        return {}

    @commands.ListDisks.responder
    def list_disks(self) -> Answer:
        return {"disks": [disk.to_json() for disk in self._disks.all()]}

    @commands.SnapshotDisk.responder
    async def snapshot_disk(
        self, disk_cid: str, metadata: Any, confirms: bool = False
    ) -> Answer:
        async with self._vms.holding(disk_cid) as container:
            snapshot = await self._snapshots.create(disk_cid, metadata, container)
        await self._receipts.made(snapshot.snapshot_cid, self._snapshots.delete, confirms)
        return {"snapshot_cid": snapshot.snapshot_cid}

    @commands.DeleteSnapshot.responder
    async def delete_snapshot(self, snapshot_cid: str) -> Answer:
        await self._snapshots.delete(snapshot_cid)
        return {}

    @commands.ListSnapshots.responder
    def list_snapshots(self) -> Answer:
        return {"snapshots": [snapshot.to_json() for snapshot in self._snapshots.all()]}
