"""C{runc-cpictl networks} and C{delete-network}."""

from __future__ import annotations

from collections.abc import Sequence

from runc_cpi.ctl.command import ListCommand
from runc_cpi.ctl.deletion import DeleteCommand, Inventory, Thing
from runc_cpi.daemon.rpc import commands
from runc_cpi.printable import printable


class Networks(ListCommand):
    """The command C{networks}."""

    name = "networks"
    summary = "list the networks of VMs"
    listing = commands.ListNetworks
    key = "networks"
    headings = ("NETWORK", "NAME", "CIDR", "GATEWAY", "BRIDGE", "IN USE")

    @staticmethod
    def row(thing: Thing) -> Sequence[str]:
        """Return the cells for a network."""
        return (
            thing["network_cid"] or "-",
            thing["name"] or "-",
            thing["cidr"],
            thing["gateway"],
            thing["bridge"],
            str(len(thing["addresses"])),
        )


class DeleteNetwork(DeleteCommand):
    """The command C{delete-network}."""

    name = "delete-network"
    summary = "delete managed networks that BOSH has forgotten"
    noun = "network"
    deletion = commands.DeleteNetwork
    forcible = False

    def describe(self, thing: Thing) -> str:
        """Say what C{networks} says about it."""
        return printable(", ".join(Networks.row(thing)[:-1]))

    def uses(self, thing: Thing, inventory: Inventory) -> list[str]:
        """Name the VMs that are in it."""
        return [f"by {vm_cid}" for vm_cid in sorted(set(thing["addresses"].values()))]
