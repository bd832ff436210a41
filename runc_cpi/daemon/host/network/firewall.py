"""Has the host forward packets of VMs, beside the firewalls of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from pyroute2.netlink.exceptions import NetlinkError
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from runc_cpi.daemon.host.network import found_rules, libnftables, links
from runc_cpi.daemon.host.network.iptables import Neighbours
from runc_cpi.daemon.host.network.nftables import OwnBridges, Table
from runc_cpi.daemon.host.network.vip_addresses import VipAddresses
from runc_cpi.daemon.host.processes import Processes
from runc_cpi.daemon.networks.claims import Claims
from runc_cpi.daemon.networks.interfaces import IFirewall
from runc_cpi.daemon.networks.model import Address
from runc_cpi.daemon.networks.rules import NO_RULES, Ruleset
from runc_cpi.errors import CloudError

P = ParamSpec("P")
T = TypeVar("T")


@implementer(IFirewall)
class Firewall:
    """
    Works on a table from one thread of its own, for some of it takes 20 ms.

    @param name: the table's, which marks what is ours in other places as well.
    @param own_bridges: returns the bridges that VMs can be connected to.
    @param addresses: has the host have the vips.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        name: str,
        processes: Processes,
        own_bridges: OwnBridges,
        addresses: VipAddresses,
    ) -> None:
        self._reactor, self._name = reactor, name
        self._table = Table(name, own_bridges)
        self._addresses = addresses
        self._neighbours = Neighbours(processes, name)
        # The last rules that others were told of.
        self._told = NO_RULES
        # What an earlier daemon left is not known.
        self._vips: frozenset[Address] | None = None
        self._agreed = False
        self._thread = ThreadPool(1, 1, "nftables")

    def start(self) -> None:
        """Start the thread, before others can have this process open many descriptors."""
        with suppress(libnftables.NftablesUnusable):  # who needs it is told so
            libnftables.prepare()
        self._thread.start()

    def stop(self) -> None:
        """End the thread, once it has done what it was given."""
        self._thread.stop()

    async def apply(self, ruleset: Ruleset) -> None:
        """
        Make these the rules of this daemon; nothing happens if they are already.

        @raise CloudError: if the kernel refuses; what was asked for before is still so.
        """
        if not self._table.has(ruleset):
            await self._do(self._table.apply, ruleset)
        await self._have({vip.address for vip in ruleset.vips})
        told, self._told = self._told, ruleset
        is_same = (told.bridges, told.peering) == (ruleset.bridges, ruleset.peering)
        if not is_same or not self._agreed:
            await self._agree()

    async def _have(self, vips: AbstractSet[Address]) -> None:
        """Have the host have these vips, once rules lead from each to a VM."""
        if vips != self._vips:
            self._vips = None
            await self._do(self._addresses.have, vips)
            self._vips = frozenset(vips)

    async def reflect(self, vm_cid: str) -> None:
        """
        Let a VM that is connected reach itself by ports of the host.

        What is bridged is translated as well while C{bridge-nf-call-iptables} is on, as it
        is beside Docker; it then goes back by the port of the bridge that it came from.

        @raise CloudError: if the kernel refuses.
        """
        await self._do(self._table.reflect, vm_cid)

    async def of_others(self) -> Sequence[Claims]:
        """
        Return what other daemons of this host have of its ports and addresses.

        @raise CloudError: if the kernel refuses to tell.
        """
        return await self._do(found_rules.of_others, self._name)

    async def restore(self) -> bool:
        """
        Put back what somebody else took away since L{apply}.

        @return: whether something was missing.
        @raise CloudError: if the kernel refuses.
        """
        dropped = await self._do(self._table.dropped)
        if dropped:
            self.log.warn(
                "the overlay has dropped {dropped} packets that were not of peers and "
                "their VMs: compare peers and overlay with what the other hosts have",
                dropped=dropped,
            )
        missing = await self._do(self._table.restore)
        if self._vips:
            missing |= await self._do(self._addresses.have, self._vips)
        changed = await self._agree() if self._told.bridges else False
        return missing or changed

    async def _agree(self) -> bool:
        """
        Have other firewalls let VMs pass.

        It fails no call: VMs run without it.  It is tried again with the next one.

        @return: whether something was changed.
        """
        self._agreed = False
        try:
            firewalld = await self._do(self._table.firewalld)
            changed = await self._neighbours.agree(self._told, firewalld)
        except CloudError as error:
            self.log.warn(
                "other firewalls of this host may stop what VMs send: {reason}",
                reason=str(error),
            )
            return False
        self._agreed = True
        return changed

    async def _do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            result: T = await deferToThreadPool(
                self._reactor, self._thread, work, *args, **kwargs
            )
        except (NetlinkError, OSError) as error:
            raise CloudError(f"network: {links.reason(error)}") from error
        return result
