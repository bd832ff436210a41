"""What the tables of other daemons, and of earlier ones, have in their maps."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress

from runc_cpi.daemon.host.network import libnftables, netlink, table
from runc_cpi.daemon.networks.claims import Claims
from runc_cpi.daemon.networks.model import Address
from runc_cpi.daemon.networks.rules import Redirection

# linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h, linux/netfilter.h
_GET_TABLE = 10 << 8 | 1  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE
_FAMILY = struct.pack("=BBH", 1, 0, 0)  # nfgenmsg, NFPROTO_INET
_NAME = 1  # NFTA_TABLE_NAME


def of_others(own: str) -> list[Claims]:
    """
    Return what other daemons of this host have of its ports and addresses.

    @param own: the name of the table of this daemon.
    @raise OSError: if the kernel refuses to tell.
    """
    return [
        Claims(
            owner=f"another runc-cpid of this host (nft list table {table.FAMILY} {name})",
            redirections=redirections(name),
            vips=frozenset(vips(name)),
        )
        for name in _tables()
        if table.is_a_daemons(name) and name != own
    ]


def _tables() -> Iterator[str]:
    """
    Return the names of all tables.

    The library takes longer the more elements there are: it reads the sets of all tables.
    """
    for message in netlink.dump(netlink.NETFILTER, _GET_TABLE, _FAMILY):
        name = dict(netlink.attributes(message[len(_FAMILY) :]))[_NAME]
        yield name.rstrip(b"\0").decode("utf-8", "replace")


def redirections(name: str) -> frozenset[Redirection]:
    """
    Return what a table has in its maps of ports, if it has them.

    @raise NftablesUnusable: if that cannot be told.
    """
    printed = []
    for ports in table.PORTS:
        # Tables of older daemons have fewer.
        with suppress(libnftables.NotInTables):
            printed.append(libnftables.run(f"list map {table.FAMILY} {name} {ports}"))
    return frozenset(table.redirections_in("".join(printed)))


def vips(name: str) -> Mapping[Address, Address]:
    """
    Return what a table has in its map of vips, if it has one.

    @raise NftablesUnusable: if that cannot be told.
    """
    try:
        printed = libnftables.run(f"list map {table.FAMILY} {name} {table.VIPS}")
    except libnftables.NotInTables:
        return {}
    return table.vips_in(printed)
