"""Connects VMs to the bridges of their subnets, from a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from ipaddress import IPv4Network
from typing import Any, ParamSpec, TypeVar

from pyroute2.netlink.exceptions import NetlinkError
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from runc_cpi.daemon.base.calls import span
from runc_cpi.daemon.base.shortage import failed_call
from runc_cpi.daemon.host.network.block_routes import BlockRoutes
from runc_cpi.daemon.host.network.bridges import Bridges
from runc_cpi.daemon.host.network.links import reason
from runc_cpi.daemon.host.network.overlaps import own_addresses
from runc_cpi.daemon.host.network.peers import Ways
from runc_cpi.daemon.host.network.veth import VethPairs
from runc_cpi.daemon.networks.blocks import RoutedBlock
from runc_cpi.daemon.networks.interfaces import INetworker
from runc_cpi.daemon.networks.model import Address, Nic, Subnet
from runc_cpi.daemon.networks.peers import NO_PEERS, Peering, Reached
from runc_cpi.errors import CloudError

P = ParamSpec("P")
T = TypeVar("T")


@implementer(INetworker)
class BridgeNetworker:
    """
    Works on bridges from one thread of its own.

    Netlink calls block, which is nothing for the reactor.  One thread also serializes them,
    and is the only one to visit other namespaces.

    @param guarded: whether VMs may only send from their own addresses.
    @param peering: the peers of the configuration: what VMs send must fit the way there.
    """

    def __init__(
        self, reactor: Any, bridges: Bridges, *, guarded: bool, peering: Peering = NO_PEERS
    ) -> None:
        self._reactor, self._bridges = reactor, bridges
        self._pairs = VethPairs(guarded=guarded, peering=peering)
        self._ways, self._block_routes = Ways(bridges.daemon), BlockRoutes(bridges.daemon)
        self._thread = ThreadPool(1, 1, "netlink")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, once it has done what it was given, and remove empty bridges."""
        self._thread.stop()
        self._pairs.close()
        with suppress(NetlinkError, OSError):
            self._bridges.remove_empty()

    async def connect(self, vm_cid: str, pid: int, nics: Sequence[Nic]) -> None:
        """
        Give the network namespace of C{pid} these interfaces.

        @raise CloudError: if the kernel refuses.
        """
        with span("interface"):
            await self._do(self._pairs.connect, vm_cid, pid, nics)

    async def guard(self, vm_cid: str, nics: Sequence[Nic]) -> bool:
        """
        Let a connected VM send from its own addresses alone.

        @return: whether it could send from others until now.
        @raise CloudError: if the kernel refuses.
        """
        return await self._do(self._pairs.guard, vm_cid, nics)

    async def disconnect(self, vm_cid: str) -> None:
        """
        Remove the VM's interfaces; it is no error if there are none.

        @raise CloudError: if the kernel refuses.
        """
        with span("interface"):
            await self._do(self._pairs.disconnect, vm_cid)

    async def connected(self) -> dict[str, list[str]]:
        """
        Return the bridges that each VM is connected to that has an interface.

        @raise CloudError: if the kernel refuses to tell.
        """
        return await self._do(self._connected)

    def _connected(self) -> dict[str, list[str]]:
        return self._pairs.connected(self._bridges.own())

    async def set_up(
        self, subnets: Sequence[Subnet], known: Collection[Subnet] = ()
    ) -> dict[Subnet, str]:
        """
        Have the bridges of these subnets with the host's addresses, and no other ones.

        Bridges that the daemon did not make stay.  So do those that have a port.

        @param known: subnets whose bridges are there, and are not looked at.
        @return: why not, for each subnet that cannot be had.
        @raise CloudError: if the kernel refuses to tell which bridges there are.
        """
        return await self._do(self._bridges.set_up, subnets, known)

    async def overlap(self, subnet: Subnet) -> str | None:
        """
        Name the network of the host that a subnet overlaps with, or return L{None}.

        @raise CloudError: if the kernel refuses to tell.
        """
        return await self._do(self._bridges.overlap, subnet)

    async def own_networks(self) -> set[IPv4Network]:
        """
        Return the networks of IPv4 that the host has an address in, or a route to.

        Those of the daemon's bridges do not count.

        @raise CloudError: if the kernel refuses to tell.
        """
        return await self._do(self._bridges.own_networks)

    async def reach(self, peering: Peering) -> Reached:
        """
        Have ways to the VMs of these peers, and of no others.

        @raise CloudError: if the kernel refuses to tell which there are.
        """
        return await self._do(self._ways.set_up, peering)

    async def route(
        self, blocks: Collection[RoutedBlock], *, afresh: bool = False
    ) -> Reached:
        """
        Have routes to these blocks of VMs, and to no others.

        @param afresh: whether to ask the kernel which there are; else they are as they
            were made.
        @raise CloudError: if the kernel refuses to tell.
        """
        return await self._do(self._block_routes.have, blocks, afresh=afresh)

    async def own_addresses(self) -> set[Address]:
        """
        Return the addresses that the host itself has.

        @raise CloudError: if the kernel refuses to tell.
        """
        return await self._do(own_addresses)

    async def _do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            result: T = await deferToThreadPool(
                self._reactor, self._thread, work, *args, **kwargs
            )
        except ValueError as error:
            raise CloudError(f"network: {work.__name__}: {error}") from error
        except (NetlinkError, OSError) as error:
            number = error.code if isinstance(error, NetlinkError) else error.errno
            text = f"network: {work.__name__}: {reason(error)}"
            raise failed_call(number, text) from error
        return result
