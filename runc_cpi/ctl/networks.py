"""C{runc-cpictl networks}, and C{network} for one of them."""

from __future__ import annotations

from collections.abc import Sequence

import click

from runc_cpi.ctl.deletion import Deletion, Inventory
from runc_cpi.ctl.tables import Listing, Thing
from runc_cpi.printable import printable


def _row(network: Thing) -> Sequence[str]:
    return (
        network["network_cid"] or "-",
        network["name"] or "-",
        network["cidr"],
        network["gateway"],
        network["bridge"],
        str(len(network["addresses"])),
    )


LISTING = Listing(
    asking="ListNetworks",
    key="networks",
    headings=("NETWORK", "NAME", "CIDR", "GATEWAY", "BRIDGE", "IN USE"),
    row=_row,
)


class NetworkDeletion(Deletion):
    """Deletes managed networks."""

    noun = "network"
    asking = "DeleteNetwork"
    summary = "Delete managed networks that BOSH has forgotten."
    forcible = False

    def describe(self, thing: Thing) -> str:
        """Say what C{networks} says about it."""
        return printable(", ".join(_row(thing)[:-1]))

    def uses(self, thing: Thing, inventory: Inventory) -> list[str]:
        """Name the VMs that are in it."""
        return [f"by {vm_cid}" for vm_cid in sorted(set(thing["addresses"].values()))]


networks = LISTING.command("List the networks of VMs.")


@click.group()
def network() -> None:
    """Delete a managed network."""


network.add_command(NetworkDeletion().command())
