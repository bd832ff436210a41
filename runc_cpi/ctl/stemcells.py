"""C{runc-cpictl stemcells}, and C{stemcell} for one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from runc_cpi.ctl import units
from runc_cpi.ctl.deletion import Deletion, Inventory
from runc_cpi.ctl.operator import Operator, output_option
from runc_cpi.ctl.room import taken_by
from runc_cpi.ctl.tables import Listing, Thing, no_such, print_facts
from runc_cpi.printable import printable


def _row(stemcell: Thing) -> Sequence[str]:
    properties = stemcell["cloud_properties"]
    return (
        stemcell["stemcell_cid"],
        stemcell["features"]["init"] or "unknown",
        str(properties.get("name", "")),
        str(properties.get("version", "")),
    )


LISTING = Listing(
    asking="ListStemcells",
    key="stemcells",
    headings=("STEMCELL", "INIT", "NAME", "VERSION"),
    row=_row,
)


class StemcellDeletion(Deletion):
    """Deletes stemcells."""

    noun = "stemcell"
    asking = "DeleteStemcell"
    summary = "Delete stemcells that BOSH has forgotten."
    forcible = False

    def describe(self, thing: Thing) -> str:
        """Say what it is called in its manifest."""
        cid, _, name, version = _row(thing)
        return f"{cid}, {printable(f'{name} {version}')}".rstrip(", ")

    def uses(self, thing: Thing, inventory: Inventory) -> list[str]:
        """Name the VMs that were made of it."""
        cid = thing["stemcell_cid"]
        vms = [vm["vm_cid"] for vm in inventory["vms"] if vm["stemcell_cid"] == cid]
        return [f"by {vm_cid}" for vm_cid in vms]


stemcells = LISTING.command("List the stemcells.")


@click.group()
def stemcell() -> None:
    """Look at one stemcell, upload one, or delete it."""


@stemcell.command()
@click.argument("stemcell_cid")
@output_option
@click.pass_obj
def show(operator: Operator, stemcell_cid: str) -> None:
    """Tell all that is known of a stemcell."""
    known = LISTING.ask(operator)
    found = [each for each in known if each["stemcell_cid"] == stemcell_cid]
    if not found:
        raise no_such("stemcell", stemcell_cid)
    (vms,) = operator.ask_for("ListVMs", "vms")
    users = [vm["vm_cid"] for vm in vms if vm["stemcell_cid"] == stemcell_cid]
    thing = {**found[0], "vm_cids": users, "taken": taken(operator, found[0])}
    operator.show(thing, lambda: print_facts(facts(thing)))


def taken(operator: Operator, stemcell: Thing) -> int | None:
    """Return the bytes that a stemcell takes; light ones of one image share them."""
    if stemcell["image"]:
        return taken_by(operator, "images", stemcell["image"].replace(":", "-", 1))
    return taken_by(operator, "stemcells", stemcell["stemcell_cid"])


def facts(stemcell: Thing) -> dict[str, str]:
    """Return what is known of a stemcell, for people."""
    _, init, name, version = _row(stemcell)
    systemd = stemcell["features"].get("systemd")
    return {
        "stemcell": stemcell["stemcell_cid"],
        "name": name or units.NOTHING,
        "version": version or units.NOTHING,
        "init": f"{init}, and systemd {systemd} is in it" if systemd else init,
        "image": stemcell["image"] or "its own",
        "takes": units.size(stemcell["taken"]),
        "made": f"{stemcell['created_at']} ({units.age(stemcell['created_at'])} ago)",
        "used by": ", ".join(stemcell["vm_cids"]) or "no VM",
    }


@stemcell.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@output_option
@click.pass_obj
def upload(operator: Operator, file: Path) -> None:
    """
    Make a stemcell of a FILE as BOSH has it, which has stemcell.MF and image in it.

    A director does not learn of it: bosh upload-stemcell is for that.
    """
    from runc_cpi.ctl import uploading

    cid = uploading.upload(operator, file, uploading.examine(file))
    operator.show({"stemcell_cid": cid}, lambda: click.echo(f"made {cid}"))


stemcell.add_command(StemcellDeletion().command())
