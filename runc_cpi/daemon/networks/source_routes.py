"""How a VM with several interfaces answers by the one that it was asked by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from runc_cpi.daemon.networks.model import IPNetwork, Nic, Route

FIRST_TABLE = 20000  # of an interface's routes: a number that nobody else takes


@dataclass(frozen=True, kw_only=True)
class SourceRoutes:
    """
    What a VM sends from some of its addresses by an interface that is not its way out.

    @ivar interface: its name in the VM.
    @ivar table: the number of the routing table.
    @ivar sources: the addresses and blocks that the VM has there.
    @ivar routes: the default route by it, and those to the subnets of other interfaces.
        The shorter way there is closed: the VM may not send from these addresses by it.
    """

    interface: str
    table: int
    sources: tuple[IPNetwork, ...]
    routes: tuple[Route, ...]


def source_routes(nics: Sequence[Nic]) -> Iterator[SourceRoutes]:
    """Return what each interface needs that the VM's default route is not by."""
    for number, nic in enumerate(nics):
        for gateway in nic.gateways:
            sources = _sources(nic, gateway.version)
            if sources and not _is_way_out(nic, gateway.version):
                everywhere = gateway.network.supernet(new_prefix=0)
                others = _subnets_of_others(nics, nic, gateway.version)
                yield SourceRoutes(
                    interface=nic.interface,
                    table=FIRST_TABLE + number,
                    sources=sources,
                    routes=tuple(
                        Route(destination=network, gateway=gateway.ip)
                        for network in (everywhere, *others)
                    ),
                )


def _sources(nic: Nic, version: int) -> tuple[IPNetwork, ...]:
    """Return what a VM sends from by an interface: from its addresses and blocks."""
    addresses = (ip_network(address.ip) for address in nic.addresses)
    return tuple(each for each in (*addresses, *nic.blocks) if each.version == version)


def _is_way_out(nic: Nic, version: int) -> bool:
    destinations = (route.destination for route in nic.routes)
    return any(each.version == version and not each.prefixlen for each in destinations)


def _subnets_of_others(nics: Sequence[Nic], nic: Nic, version: int) -> Iterator[IPNetwork]:
    for other in nics:
        for gateway in other.gateways if other is not nic else ():
            if gateway.version == version:
                yield gateway.network
