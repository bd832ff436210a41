"""C{runc-cpictl stemcells} and C{delete-stemcell}."""

from __future__ import annotations

from collections.abc import Sequence

from runc_cpi.ctl.command import ListCommand
from runc_cpi.ctl.deletion import DeleteCommand, Inventory, Thing
from runc_cpi.daemon.rpc import commands
from runc_cpi.printable import printable


class Stemcells(ListCommand):
    """The command C{stemcells}."""

    name = "stemcells"
    summary = "list the stemcells"
    listing = commands.ListStemcells
    key = "stemcells"
    headings = ("STEMCELL", "INIT", "NAME", "VERSION")

    @staticmethod
    def row(thing: Thing) -> Sequence[str]:
        """Return the cells for a stemcell."""
        properties = thing["cloud_properties"]
        return (
            thing["stemcell_cid"],
            thing["features"]["init"] or "unknown",
            str(properties.get("name", "")),
            str(properties.get("version", "")),
        )


class DeleteStemcell(DeleteCommand):
    """The command C{delete-stemcell}."""

    name = "delete-stemcell"
    summary = "delete stemcells that BOSH has forgotten"
    noun = "stemcell"
    deletion = commands.DeleteStemcell
    forcible = False

    def describe(self, thing: Thing) -> str:
        """Say what it is called in its manifest."""
        cid, _, name, version = Stemcells.row(thing)
        return f"{cid}, {printable(f'{name} {version}')}".rstrip(", ")

    def uses(self, thing: Thing, inventory: Inventory) -> list[str]:
        """Name the VMs that were made of it."""
        cid = thing["stemcell_cid"]
        vms = [vm["vm_cid"] for vm in inventory["vms"] if vm["stemcell_cid"] == cid]
        return [f"by {vm_cid}" for vm_cid in vms]
