"""C{runc-cpictl prune}: makes room, and says first what that would free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from runc_cpi.ctl import units
from runc_cpi.ctl.deletion import Deletion, confirm, delete_all, inventory_of
from runc_cpi.ctl.disks import DiskDeletion
from runc_cpi.ctl.operator import Operator, output_option
from runc_cpi.ctl.room import taken_by
from runc_cpi.ctl.snapshots import SnapshotDeletion
from runc_cpi.ctl.stemcells import StemcellDeletion, taken
from runc_cpi.ctl.tables import Thing
from runc_cpi.errors import CPIError

# In the order in which they can go: a disk with snapshots stays.
NAMED: tuple[Deletion, ...] = (SnapshotDeletion(), DiskDeletion())
STEMCELLS = StemcellDeletion()


@click.command()
@click.argument("cids", metavar="[CID]...", nargs=-1)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "-f", "--force", is_flag=True, help="Also CIDs that BOSH uses, and will miss."
)
@output_option
@click.pass_obj
def prune(operator: Operator, cids: tuple[str, ...], *, yes: bool, force: bool) -> None:
    """
    Delete stemcells that no VM uses, and the disks and snapshots that CIDs name.

    It says first what that would free.  A director that has such a stemcell still, and
    makes a VM of it, must have it uploaded again: bosh upload-stemcell --fix.
    """
    inventory = inventory_of(operator)
    going: list[tuple[Deletion, Thing]] = []
    wanted = dict.fromkeys(cids)
    for deletion in NAMED:
        for thing in inventory[f"{deletion.noun}s"]:
            if deletion.cid(thing) in wanted:
                del wanted[deletion.cid(thing)]
                going.append((deletion, thing))
    if wanted:
        names = ", ".join(wanted)
        raise CPIError(
            f"there is no disk and no snapshot {names}; runc-cpictl disks and runc-cpictl "
            "snapshots list them"
        )
    gone = {deletion.cid(thing) for deletion, thing in going}
    for deletion, thing in going:
        uses = deletion.uses(thing, _without(inventory, gone))
        deletion.refuse(thing, uses, force=force)
    unused = [
        each for each in inventory["stemcells"] if not STEMCELLS.uses(each, inventory)
    ]
    going += [(STEMCELLS, thing) for thing in unused]
    images = {each["image"] for each in inventory["stemcells"] if each not in unused}
    _delete(operator, going, _sizes(operator, going, images), yes=yes)


def _without(
    inventory: Mapping[str, Sequence[Thing]], gone: set[str]
) -> dict[str, Sequence[Thing]]:
    """Return what there is without some snapshots."""
    snapshots = [one for one in inventory["snapshots"] if one["snapshot_cid"] not in gone]
    return {**inventory, "snapshots": snapshots}


def _sizes(
    operator: Operator, going: Sequence[tuple[Deletion, Thing]], staying: set[str | None]
) -> list[int | None]:
    """
    Return the bytes that go with each thing; L{None} if they cannot be seen from here.

    @param staying: the images of stemcells that stay, which they share with others.
    """
    sizes: list[int | None] = []
    counted = {*staying}
    for deletion, thing in going:
        if deletion is not STEMCELLS:
            kind = f"{deletion.noun}s"
            sizes.append(taken_by(operator, kind, deletion.cid(thing)))
        elif thing["image"] and thing["image"] in counted:
            sizes.append(0)
        else:
            counted.add(thing["image"])
            sizes.append(taken(operator, thing))
    return sizes


def _delete(
    operator: Operator,
    going: Sequence[tuple[Deletion, Thing]],
    sizes: Sequence[int | None],
    *,
    yes: bool,
) -> None:
    known = sum(size for size in sizes if size is not None)
    if going and not yes:
        lines = [
            f"{deletion.noun} {deletion.describe(thing)}: {units.size(size)}"
            for (deletion, thing), size in zip(going, sizes, strict=True)
        ]
        confirm([*lines, f"That frees {units.size(known)}."])
    deleted = delete_all(operator, going)
    text = "\n".join([*(f"deleted {cid}" for cid in deleted), f"freed {units.size(known)}"])
    answer = {"deleted": deleted, "bytes": known}
    operator.show(answer, lambda: click.echo(text if deleted else "nothing to delete"))
