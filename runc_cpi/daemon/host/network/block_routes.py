"""The host's routes to blocks of addresses that VMs have."""

from __future__ import annotations

from collections.abc import Collection

from pyroute2 import IPRoute

from runc_cpi.daemon.host.network import routes
from runc_cpi.daemon.host.network.links import find
from runc_cpi.daemon.host.network.routes import TO_BLOCKS, Route, metric_of
from runc_cpi.daemon.networks.blocks import RoutedBlock
from runc_cpi.daemon.networks.peers import Reached


def route_blocks(blocks: Collection[RoutedBlock], daemon: str) -> Reached:
    """
    Have routes to these blocks, and to no others; it blocks.

    The next hop is the VM: it may have the addresses, or pass packets on to who has them.
    Without a next hop the host would ask the VM for each address, and remember so many
    neighbours.

    @param daemon: tells this daemon from others of this host.
    @raise NetlinkError: if the kernel refuses to tell which there are.
    """
    metric, wanted, lost = metric_of(daemon), {}, []
    for each in blocks:
        index = find(each.bridge)
        if index is None:
            lost.append(f"no route to {each.block}: there is no bridge {each.bridge}")
            continue
        wanted[each.block] = Route(
            network=each.block,
            gateway=str(each.address),
            interface=index,
            source=None,
            protocol=TO_BLOCKS,
            metric=metric,
        )
    with IPRoute() as ip:
        changed, problems = routes.have(ip, wanted, TO_BLOCKS, metric)
    return Reached(changed=changed, problems=(*lost, *problems))
