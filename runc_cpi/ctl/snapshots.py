"""C{runc-cpictl snapshots}, and C{snapshot} for one of them."""

from __future__ import annotations

from collections.abc import Sequence

import click

from runc_cpi.ctl.deletion import Deletion
from runc_cpi.ctl.tables import Listing, Thing


def _row(snapshot: Thing) -> Sequence[str]:
    return snapshot["snapshot_cid"], snapshot["disk_cid"], snapshot["created_at"]


LISTING = Listing(
    asking="ListSnapshots",
    key="snapshots",
    headings=("SNAPSHOT", "DISK", "MADE"),
    row=_row,
)


class SnapshotDeletion(Deletion):
    """Deletes snapshots."""

    noun = "snapshot"
    asking = "DeleteSnapshot"
    summary = "Delete snapshots that BOSH has forgotten."

    def describe(self, thing: Thing) -> str:
        """Say of which disk it is, and how old."""
        cid, disk_cid, made = _row(thing)
        return f"{cid} of {disk_cid}, made {made}"


snapshots = LISTING.command("List the snapshots of disks.")


@click.group()
def snapshot() -> None:
    """Delete a snapshot."""


snapshot.add_command(SnapshotDeletion().command())
