"""The host's routes to blocks of addresses that VMs have."""

from __future__ import annotations

from collections.abc import Collection

from pyroute2 import IPRoute

from runc_cpi.daemon.host.network import routes
from runc_cpi.daemon.host.network.links import find
from runc_cpi.daemon.host.network.routes import TO_BLOCKS, Route, metric_of
from runc_cpi.daemon.networks.blocks import RoutedBlock
from runc_cpi.daemon.networks.model import IPNetwork
from runc_cpi.daemon.networks.peers import Reached


class BlockRoutes:
    """
    The routes to blocks of one daemon; every method blocks.

    The next hop is the VM: it may have the addresses, or pass packets on to who has them.
    Without a next hop the host would ask the VM for each address, and remember so many
    neighbours.

    Blocks are compared as sets, which takes little time for hundreds of them.

    @param daemon: tells this daemon from others of this host.
    """

    def __init__(self, daemon: str) -> None:
        self._metric = metric_of(daemon)
        # What an earlier daemon left is not known.
        self._made: dict[RoutedBlock, Route] | None = None

    def have(self, blocks: Collection[RoutedBlock], *, afresh: bool = False) -> Reached:
        """
        Have routes to these blocks, and to no others.

        A bridge that is made anew is another interface: so are the routes by it.

        @param afresh: whether to ask the kernel which there are; else they are as they
            were made.
        @raise NetlinkError: if the kernel refuses to tell.
        @raise OSError: if it refuses to remove one.
        """
        known, self._made = (None if afresh else self._made), None
        made = {} if known is None else dict(known)
        wanted, lacking = frozenset(blocks), {}
        indexes = {bridge: find(bridge) for bridge in {each.bridge for each in wanted}}
        moved = {b for b, route in made.items() if route.interface != indexes.get(b.bridge)}
        old = [made.pop(block) for block in moved | (set(made) - wanted)]
        new = {}
        for each in wanted - set(made):
            if (index := indexes[each.bridge]) is None:
                why = f"no route to {each.block}: there is no bridge {each.bridge}"
                lacking[each.block] = why
            else:
                new[each] = self._route(each, index)
        found = self._found() if known is None else {r.network: r for r in old}
        changed, refused = routes.have({r.network: r for r in new.values()}, found)
        made |= {block: r for block, r in new.items() if block.block not in refused}
        self._made = made
        lacking |= refused
        return Reached(changed=changed, problems=tuple(lacking.values()), lacking=lacking)

    def _found(self) -> dict[IPNetwork, Route]:
        with IPRoute() as ip:
            return routes.made(ip, TO_BLOCKS, self._metric)

    def _route(self, block: RoutedBlock, index: int) -> Route:
        return Route(
            network=block.block,
            gateway=str(block.address),
            interface=index,
            source=None,
            protocol=TO_BLOCKS,
            metric=self._metric,
        )
