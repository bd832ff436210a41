"""Keeps the ways that VMs of this host need: to the VMs of peers, and to blocks of VMs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from twisted.logger import Logger

from runc_cpi.daemon.networks.blocks import RoutedBlock
from runc_cpi.daemon.networks.interfaces import INetworker
from runc_cpi.daemon.networks.peers import NO_PEERS, Peering, Reached
from runc_cpi.errors import CloudError

T = TypeVar("T")
Have = Callable[[T, bool], Awaitable[Reached]]


class Ways(Generic[T]):
    """
    Ways that are there while VMs need them.

    What cannot be had is logged, and fails no call: VMs run without it.  It is tried again
    with the next call and with each repair.

    @param have: has the host have these ways, and no others.  It is told whether to look
        for what somebody else took away.
    @param none: what is asked for while there is no VM.
    @param lack: how the log says that a way cannot be had.
    """

    log = Logger()

    def __init__(self, have: Have[T], none: T, lack: str) -> None:
        self._have, self._none, self._lack = have, none, lack
        self._wanted = none
        # What an earlier daemon left is not known.
        self._reached: T | None = None
        self._last = Reached(changed=False)
        self._said: frozenset[str] = frozenset()

    async def reach(self, wanted: T) -> None:
        """Have these ways, and no others."""
        self._wanted = wanted
        if self._reached != wanted:
            await self._reach(afresh=False)

    async def restore(self) -> bool:
        """
        Put back what somebody else took away since L{reach}.

        @return: whether something was missing.
        """
        if self._wanted == self._reached == self._none:
            return False
        return await self._reach(afresh=True)

    async def _reach(self, *, afresh: bool) -> bool:
        wanted, self._reached = self._wanted, None
        try:
            reached = await self._have(wanted, afresh)
        except CloudError as error:
            reached = Reached(changed=False, problems=(str(error),))
        self._say(frozenset(reached.problems))
        if not reached.problems:
            self._reached = wanted
        self._last = reached
        return reached.changed

    def _say(self, problems: frozenset[str]) -> None:
        """Log what is wrong by now, each problem once."""
        for problem in sorted(problems - self._said):
            self.log.warn("{lack}: {problem}", lack=self._lack, problem=problem)
        self._said = problems


class WaysToPeers(Ways[Peering]):
    """
    The ways to the VMs of peers.

    @ivar configured: the peers of the configuration.
    """

    def __init__(self, networker: INetworker, configured: Peering) -> None:
        lack = "VMs do not reach those of another host"
        super().__init__(lambda wanted, _: networker.reach(wanted), NO_PEERS, lack)
        self.configured = configured


class WaysToBlocks(Ways[frozenset[RoutedBlock]]):
    """The ways to the blocks of addresses that VMs have."""

    def __init__(self, networker: INetworker) -> None:
        self._networker = networker
        lack = "a VM is not reached by its block of addresses"
        super().__init__(self._route, frozenset(), lack)

    def _route(self, wanted: frozenset[RoutedBlock], afresh: bool) -> Awaitable[Reached]:
        return self._networker.route(wanted, afresh=afresh)

    async def reach(self, wanted: frozenset[RoutedBlock]) -> None:
        """Have these ways, and no others."""
        if wanted:
            # A bridge may have been made anew since: its routes went with the old one.
            self._reached = None
        await super().reach(wanted)

    def check(self, blocks: Iterable[RoutedBlock]) -> None:
        """
        Check that there are ways to blocks which were asked for last.

        @raise CloudError: saying why there is none to one of them.
        """
        if self._reached is not None:
            return
        for each in blocks:
            if each.block in self._last.lacking:
                raise CloudError(self._last.lacking[each.block])
            if not self._last.lacking:
                raise CloudError("; ".join(self._last.problems))
