"""What the tables of other daemons, and of earlier ones, have in their maps."""

from __future__ import annotations

from collections.abc import Mapping

from runc_cpi.daemon.host.network import libnftables, table
from runc_cpi.daemon.networks.claims import Claims
from runc_cpi.daemon.networks.model import Address
from runc_cpi.daemon.networks.rules import Redirection


def of_others(own: str) -> list[Claims]:
    """
    Return what other daemons of this host have of its ports and addresses.

    @param own: the name of the table of this daemon.
    @raise NftablesUnusable: if the kernel refuses to tell.
    """
    names = table.names_in(libnftables.run(f"list tables {table.FAMILY}"))
    return [
        Claims(
            owner=f"another runc-cpid of this host (nft list table {table.FAMILY} {name})",
            redirections=redirections(name),
            vips=frozenset(vips(name)),
        )
        for name in names
        if table.is_a_daemons(name) and name != own
    ]


def redirections(name: str) -> frozenset[Redirection]:
    """Return what a table has in its maps of ports, if it has them."""
    try:
        printed = [
            libnftables.run(f"list map {table.FAMILY} {name} {ports}")
            for ports in table.PORTS
        ]
    except libnftables.NftablesUnusable:
        return frozenset()
    return frozenset(table.redirections_in("".join(printed)))


def vips(name: str) -> Mapping[Address, Address]:
    """Return what a table has in its map of vips, if it has one."""
    try:
        printed = libnftables.run(f"list map {table.FAMILY} {name} {table.VIPS}")
    except libnftables.NftablesUnusable:
        return {}
    return table.vips_in(printed)
