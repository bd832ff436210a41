"""Answers the DNS queries of VMs at the gateways of their subnets."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Collection, Sequence
from typing import Any

from twisted.internet.defer import DeferredLock
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from zope.interface import implementer

from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.host.dns.gateway import Desk, Gateway, Place
from runc_cpi.daemon.host.dns.messages import PORT
from runc_cpi.daemon.host.dns.places import Places
from runc_cpi.daemon.host.dns.resolver import Resolver
from runc_cpi.daemon.host.dns.upstream import Upstream
from runc_cpi.daemon.host.name_servers import RESOLV_CONF, ResolvConf, name_servers
from runc_cpi.daemon.host.network.port_holders import holder
from runc_cpi.daemon.networks.interfaces import INameService
from runc_cpi.daemon.networks.model import Address, Subnet

MOST_QUERIES, MOST_QUERIES_OF_ONE = 512, 64
MOST_CONNECTIONS, MOST_CONNECTIONS_OF_ONE = 128, 16


@implementer(INameService)
class NameService:
    """
    Has a L{Gateway} for each subnet where that is possible.

    @param reactor: provides C{IReactorTime}, C{IReactorFDSet}, C{IReactorTCP} and
        C{IReactorSocket}.
    @param enabled: whether to answer at all.
    @param resolv_conf: names the servers that know the answers.
    """

    log = Logger()

    def __init__(
        self, reactor: Any, *, enabled: bool, resolv_conf: str = RESOLV_CONF
    ) -> None:
        self._enabled = enabled
        self._resolv_conf = ResolvConf(resolv_conf)
        self._tasks = TaskGroup(reactor)
        self._desk = Desk(
            reactor=reactor,
            resolver=Resolver(
                reactor,
                Upstream(reactor),
                Places(MOST_QUERIES, MOST_QUERIES_OF_ONE),
                self._servers,
            ),
            connections=Places(MOST_CONNECTIONS, MOST_CONNECTIONS_OF_ONE),
            tasks=self._tasks,
            client_of=lambda address: self._client_of(address),
        )
        self._client_of: Callable[[str], str] = str
        self._wanted: Sequence[Subnet] = ()
        self._open: dict[Place, Gateway] = {}
        # The gateways where it is not possible, and why.
        self._failed: dict[Address, str] = {}
        self._lock = DeferredLock()

    def _servers(self) -> Sequence[str]:
        """Return the servers to ask: those of the host, but never one of ours."""
        ours = {str(place.gateway) for place in self._open}
        return [server for server in self._resolv_conf.servers() if server not in ours]

    async def serve(
        self, subnets: Collection[Subnet], client_of: Callable[[str], str] = str
    ) -> None:
        """
        Answer at the gateways of these subnets, and of no others.

        @param client_of: names who has an address, as a VM may have many: bounds are those
            of all that one client asks.

        If that is not possible at one of them, that is logged; L{retry} tries it again.
        """
        self._client_of = client_of
        self._wanted = tuple(subnets) if self._enabled else ()
        await self.retry()

    async def retry(self) -> None:
        """Have all as it was asked for last, also where it was not possible before."""
        await self._lock.acquire()
        try:
            wanted = {_place_of(subnet) for subnet in self._wanted}
            for place in self._open.keys() - wanted:
                await self._open.pop(place).close()
            for place in wanted - self._open.keys():
                await self._open_at(place)
            gateways = {subnet.gateway for subnet in self._wanted}
            self._failed = {g: why for g, why in self._failed.items() if g in gateways}
        finally:
            self._lock.release()

    async def _open_at(self, place: Place) -> None:
        gateway = place.gateway
        try:
            self._open[place] = Gateway(self._desk, place)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            if error.errno == errno.EADDRINUSE:
                who = await deferToThread(holder, gateway, PORT)
                reason = f"port {PORT} is taken by {who or 'another program'}"
            if self._failed.get(gateway) != reason:
                self.log.warn(
                    "no DNS for VMs at {gateway}: {reason}; new VMs get the host's name "
                    "servers, and those whose name server it is resolve no names",
                    gateway=str(gateway),
                    reason=reason,
                )
            self._failed[gateway] = reason
        else:
            if self._failed.pop(gateway, None) is not None:
                self.log.info("there is DNS for VMs at {gateway} now", gateway=str(gateway))

    def name_servers(self, subnet: Subnet) -> Sequence[str]:
        """
        Return the name servers of a network in this subnet that names none itself: those
        of the subnet; or the gateway if it answers; or those of the host.
        """
        if subnet.dns:
            return subnet.dns
        if _place_of(subnet) in self._open:
            return [str(subnet.gateway)]
        return name_servers()

    async def stop(self) -> None:
        """Answer no more, nowhere."""
        await self.serve(())
        self._tasks.cancel()


def _place_of(subnet: Subnet) -> Place:
    try:
        number = socket.if_nametoindex(subnet.bridge)
    except OSError:
        number = 0  # there is no such interface, and no socket can be bound to it
    return Place(subnet.gateway, subnet.cidr, subnet.bridge, number)
