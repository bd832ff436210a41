"""Keeps the ways to the VMs of peers as the VMs of this host need them."""

from __future__ import annotations

from twisted.logger import Logger

from runc_cpi.daemon.networks.interfaces import INetworker
from runc_cpi.daemon.networks.peers import NO_PEERS, Peering
from runc_cpi.errors import CloudError


class WaysToPeers:
    """
    Ways that are there while this host has VMs.

    What cannot be had is logged, and fails no call: VMs run without it.  It is tried again
    with the next call and with each repair.

    @ivar configured: the peers of the configuration.
    """

    log = Logger()

    def __init__(self, networker: INetworker, configured: Peering) -> None:
        self._networker, self.configured = networker, configured
        self._wanted = NO_PEERS
        # What an earlier daemon left is not known.
        self._reached: Peering | None = None
        self._said: frozenset[str] = frozenset()

    async def reach(self, peering: Peering) -> None:
        """Have ways to these peers, and to no others."""
        self._wanted = peering
        if self._reached != peering:
            await self._reach()

    async def restore(self) -> bool:
        """
        Put back what somebody else took away since L{reach}.

        @return: whether something was missing.
        """
        if self._wanted == self._reached == NO_PEERS:
            return False
        return await self._reach()

    async def _reach(self) -> bool:
        wanted, self._reached = self._wanted, None
        try:
            reached = await self._networker.reach(wanted)
        except CloudError as error:
            self._say(frozenset([str(error)]))
            return False
        self._say(frozenset(reached.problems))
        if not reached.problems:
            self._reached = wanted
        return reached.changed

    def _say(self, problems: frozenset[str]) -> None:
        """Log what is wrong by now, each problem once."""
        for problem in sorted(problems - self._said):
            text = "VMs do not reach those of another host: {problem}"
            self.log.warn(text, problem=problem)
        self._said = problems
