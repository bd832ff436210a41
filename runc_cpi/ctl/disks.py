"""C{runc-cpictl disks}, C{resize-disk} and C{delete-disk}."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.protocols import amp
from twisted.python import usage

from runc_cpi.ctl.command import Answer, DaemonCommand, ListCommand
from runc_cpi.ctl.deletion import DeleteCommand, Inventory, Thing, noted
from runc_cpi.daemon.rpc import commands


class Disks(ListCommand):
    """The command C{disks}."""

    name = "disks"
    summary = "list the persistent disks"
    listing = commands.ListDisks
    key = "disks"
    headings = ("DISK", "SIZE", "KIND", "ATTACHED TO", "METADATA")

    @staticmethod
    def row(thing: Thing) -> Sequence[str]:
        """Return the cells for a disk."""
        return (
            thing["disk_cid"],
            f"{thing['size']} MiB",
            thing["filesystem"] if thing["driver"] == "image" else thing["driver"],
            thing["attached_to"] or "-",
            " ".join(f"{name}={value}" for name, value in thing["metadata"].items()),
        )


class ResizeDisk(DaemonCommand):
    """The command C{resize-disk}."""

    name = "resize-disk"
    summary = "make a disk larger, even while in use"
    synopsis = "DISK_CID MIB"

    def parseArgs(self, disk_cid: str, size: str) -> None:  # type: ignore[override]
        """Take the disk and its new size."""
        if not size.isascii() or not size.isdigit():
            raise usage.UsageError(f"{size!r} is not a number of MiB")
        self["disk_cid"], self["size"] = disk_cid, int(size)

    async def ask(self, peer: amp.AMP) -> Answer:
        """Have the disk grow."""
        answer: Answer = await peer.callRemote(commands.ResizeDisk, **self)
        return answer

    def text(self, answer: Answer) -> str:
        """Say how large the disk is."""
        return f"{self['disk_cid']} has {self['size']} MiB now"


class DeleteDisk(DeleteCommand):
    """The command C{delete-disk}."""

    name = "delete-disk"
    summary = "delete disks, with what is on them, that BOSH has forgotten"
    noun = "disk"
    deletion = commands.DeleteDisk

    def describe(self, thing: Thing) -> str:
        """Say how large it is, and how old."""
        return f"{thing['disk_cid']}, {thing['size']} MiB, made {thing['created_at']}"

    def uses(self, thing: Thing, inventory: Inventory) -> list[str]:
        """Name the VM that has it and the snapshots of it, beside what BOSH has noted."""
        cid, vm_cid = thing["disk_cid"], thing["attached_to"]
        snapshots = [one for one in inventory["snapshots"] if one["disk_cid"] == cid]
        return [
            *([f"it is attached to {vm_cid}"] if vm_cid else []),
            *(f"it has {snapshot['snapshot_cid']}" for snapshot in snapshots),
            *noted(thing),
        ]

    async def delete(self, peer: amp.AMP, thing: Thing) -> None:
        """Detach it from the VM that has it, and delete it."""
        cid, vm_cid = thing["disk_cid"], thing["attached_to"]
        if vm_cid:
            await peer.callRemote(commands.DetachDisk, vm_cid=vm_cid, disk_cid=cid)
        await super().delete(peer, thing)
