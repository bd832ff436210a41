"""C{runc-cpictl stemcells}, and C{stemcell} for one of them."""

from __future__ import annotations

from collections.abc import Sequence

import click

from runc_cpi.ctl.deletion import Deletion, Inventory
from runc_cpi.ctl.tables import Listing, Thing
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
    """Delete a stemcell."""


stemcell.add_command(StemcellDeletion().command())
