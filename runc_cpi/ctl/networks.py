"""C{runc-cpictl networks}, and C{network} for one of them."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network

import click

from runc_cpi.ctl.deletion import Deletion, Inventory
from runc_cpi.ctl.operator import Operator, output_option
from runc_cpi.ctl.tables import Listing, Thing, print_facts
from runc_cpi.errors import CPIError
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
    """Look at one network, or delete a managed one."""


@network.command()
@click.argument("name", metavar="NAME_OR_CID_OR_CIDR")
@output_option
@click.pass_obj
def show(operator: Operator, name: str) -> None:
    """Tell all of a network."""
    keys = ("network_cid", "name", "cidr")
    found = [each for each in LISTING.ask(operator) if name in [each[key] for key in keys]]
    if not found:
        raise CPIError(f"there is no network {name!r}; runc-cpictl networks lists them")
    operator.show(found[0], lambda: print_facts(facts(found[0])))


def facts(network: Thing) -> dict[str, str]:
    """Return what is known of a network, for people."""
    size = ip_network(network["cidr"]).num_addresses
    used = len(network["addresses"])
    return {
        "network": network["network_cid"] or "not managed by a director",
        "name": network["name"] or "none: VMs describe it",
        "range": network["cidr"],
        "gateway": network["gateway"],
        "bridge": network["bridge"],
        "name servers": ", ".join(network["dns"]) or "the gateway, or the host's",
        "mtu": str(network["mtu"] or "as the host's way out has it"),
        "way out": "by the host's addresses" if network["nat"] else "none by nat",
        "kept apart": "yes" if network["isolated"] else "no",
        "reserved": ", ".join(network["reserved"]) or "nothing",
        "in use": f"{used} of {size} addresses; runc-cpictl leases lists them",
    }


network.add_command(NetworkDeletion().command())
