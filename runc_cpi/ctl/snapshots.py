"""C{runc-cpictl snapshots} and C{delete-snapshot}."""

from __future__ import annotations

from collections.abc import Sequence

from runc_cpi.ctl.command import ListCommand
from runc_cpi.ctl.deletion import DeleteCommand, Thing
from runc_cpi.daemon.rpc import commands


class Snapshots(ListCommand):
    """The command C{snapshots}."""

    name = "snapshots"
    summary = "list the snapshots of disks"
    listing = commands.ListSnapshots
    key = "snapshots"
    headings = ("SNAPSHOT", "DISK", "MADE")

    @staticmethod
    def row(thing: Thing) -> Sequence[str]:
        """Return the cells for a snapshot."""
        return thing["snapshot_cid"], thing["disk_cid"], thing["created_at"]


class DeleteSnapshot(DeleteCommand):
    """The command C{delete-snapshot}."""

    name = "delete-snapshot"
    summary = "delete snapshots that BOSH has forgotten"
    noun = "snapshot"
    deletion = commands.DeleteSnapshot

    def describe(self, thing: Thing) -> str:
        """Say of which disk it is, and how old."""
        cid, disk_cid, made = Snapshots.row(thing)
        return f"{cid} of {disk_cid}, made {made}"
