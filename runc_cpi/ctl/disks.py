"""C{runc-cpictl disks}, and C{disk} for one of them."""

from __future__ import annotations

from collections.abc import Sequence

import click

from runc_cpi.ctl import units
from runc_cpi.ctl.deletion import Deletion, Inventory, noted
from runc_cpi.ctl.operator import Operator, output_option
from runc_cpi.ctl.room import taken_by
from runc_cpi.ctl.tables import Listing, Thing, no_such, print_facts


def _row(disk: Thing) -> Sequence[str]:
    return (
        disk["disk_cid"],
        f"{disk['size']} MiB",
        disk["filesystem"] if disk["driver"] == "image" else disk["driver"],
        disk["attached_to"] or "-",
        " ".join(f"{name}={value}" for name, value in disk["metadata"].items()),
    )


LISTING = Listing(
    asking="ListDisks",
    key="disks",
    headings=("DISK", "SIZE", "KIND", "ATTACHED TO", "METADATA"),
    row=_row,
)


class DiskDeletion(Deletion):
    """Deletes disks."""

    noun = "disk"
    asking = "DeleteDisk"
    summary = "Delete disks, with what is on them, that BOSH has forgotten."

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

    def delete(self, operator: Operator, thing: Thing) -> None:
        """Detach it from the VM that has it, and delete it."""
        cid, vm_cid = thing["disk_cid"], thing["attached_to"]
        if vm_cid:
            operator.ask("DetachDisk", vm_cid=vm_cid, disk_cid=cid)
        super().delete(operator, thing)


disks = LISTING.command("List the persistent disks.")


@click.group()
def disk() -> None:
    """Look at one disk, change it, or delete it."""


@disk.command()
@click.argument("disk_cid")
@output_option
@click.pass_obj
def show(operator: Operator, disk_cid: str) -> None:
    """Tell all that is known of a disk."""
    found = [each for each in LISTING.ask(operator) if each["disk_cid"] == disk_cid]
    if not found:
        raise no_such("disk", disk_cid)
    (snapshots,) = operator.ask_for("ListSnapshots", "snapshots")
    cids = [one["snapshot_cid"] for one in snapshots if one["disk_cid"] == disk_cid]
    taken = taken_by(operator, "disks", disk_cid)
    thing = {**found[0], "snapshot_cids": cids, "taken": taken}
    operator.show(thing, lambda: print_facts(facts(thing)))


def facts(disk: Thing) -> dict[str, str]:
    """Return what is known of a disk, for people."""
    _, _, kind, vm_cid, metadata = _row(disk)
    return {
        "disk": disk["disk_cid"],
        "size": units.size(disk["size"] << 20),
        "takes": units.size(disk["taken"]),
        "kind": kind,
        "attached to": vm_cid,
        "snapshots": ", ".join(disk["snapshot_cids"]) or units.NOTHING,
        "made": f"{disk['created_at']} ({units.age(disk['created_at'])} ago)",
        "metadata": metadata or units.NOTHING,
    }


@disk.command()
@click.argument("disk_cid")
@output_option
@click.pass_obj
def snapshot(operator: Operator, disk_cid: str) -> None:
    """Keep a copy of what a disk holds now."""
    answer = operator.ask("SnapshotDisk", disk_cid=disk_cid, metadata={})
    cid = answer[b"snapshot_cid"].decode()
    operator.show({"snapshot_cid": cid}, lambda: click.echo(f"made {cid}"))


@disk.command()
@click.argument("disk_cid")
@click.argument("size", metavar="MIB", type=click.IntRange(min=1))
@output_option
@click.pass_obj
def resize(operator: Operator, disk_cid: str, size: int) -> None:
    """Make a disk larger, even while it is in use."""
    operator.ask("ResizeDisk", disk_cid=disk_cid, size=size)
    answer = {"disk_cid": disk_cid, "size": size}
    operator.show(answer, lambda: click.echo(f"{disk_cid} has {size} MiB now"))


disk.add_command(DiskDeletion().command())
