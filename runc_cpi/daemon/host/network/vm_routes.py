"""Routes of a VM that depend on the address that it sends from."""

from __future__ import annotations

from collections.abc import Sequence

from runc_cpi.daemon.host.network.links import index_of
from runc_cpi.daemon.host.network.route_messages import MAIN_TABLE, add_rule, put_route
from runc_cpi.daemon.networks.model import Nic
from runc_cpi.daemon.networks.source_routes import SourceRoutes, source_routes

# Priorities of rules: after those that a job may have, before that of the main table.
_TO_OWN, _TO_OTHERS, _NEAR, _OUT = 32000, 32001, 32002, 32003


def answer_by_source(nics: Sequence[Nic]) -> None:
    """
    Have this network namespace answer by the interface that it was asked by.

    A VM may have networks inside, to which its main table has routes.  They come before a
    default route, and those to its own blocks before all else.

    @raise OSError: if the kernel refuses.
    """
    found = list(source_routes(nics))
    if found:
        for block in {block for nic in nics for block in nic.blocks}:
            add_rule(_TO_OWN, MAIN_TABLE, destination=block)
    for each in found:
        _add(each)


def _add(routes: SourceRoutes) -> None:
    index, table = index_of(routes.interface), routes.table
    for route in routes.routes:
        put_route(route.destination, route.gateway, index=index, table=table)
    for source in routes.sources:
        add_rule(_TO_OTHERS, table, source=source, with_default=False)
        add_rule(_NEAR, MAIN_TABLE, source=source, with_default=False)
        add_rule(_OUT, table, source=source)
