"""Followers: those who wait for the next event that they want."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from runc_cpi.daemon.events.event import Event
from runc_cpi.daemon.events.filters import Filters
from runc_cpi.daemon.events.journal import Journal, News
from runc_cpi.errors import HostShort


class Followers:
    """
    All followers, of whom there are only so many.

    @param reactor: provides C{IReactorTime}.
    @param limit: how many may wait at once; of one address half of them.
    """

    def __init__(self, reactor: Any, journal: Journal, limit: int) -> None:
        self._reactor, self._journal, self._limit = reactor, journal, limit
        self._waiting: dict[Deferred[None], Filters] = {}
        self._origins: Counter[str] = Counter()
        journal.listen(self._tell)

    def _tell(self, event: Event) -> None:
        wanting = [who for who, filters in self._waiting.items() if filters.match(event)]
        for who in wanting:
            wake(who)

    async def wait(
        self, who: Deferred[None], filters: Filters, seconds: float, origin: str | None
    ) -> None:
        """
        Wait for an event that is wanted.

        @param who: fires when there is one, or the time is over; whoever fires it before
            ends the wait.
        @param seconds: for how long at most.
        @param origin: the address of the peer, or L{None} on the unix socket.
        @raise HostShort: if too many wait.
        """
        if origin is not None and self._origins[origin] >= max(1, self._limit // 2):
            raise HostShort(
                f"{self._origins[origin]} of {origin} follow the events, and no more may: "
                "half of limits.followers"
            )
        if len(self._waiting) >= self._limit:
            raise HostShort(
                f"{len(self._waiting)} follow the events, and no more may: limits.followers"
            )
        self._waiting[who] = filters
        if origin is not None:
            self._origins[origin] += 1
        alarm = self._reactor.callLater(seconds, wake, who)
        try:
            await who
        finally:
            self._waiting.pop(who, None)
            if origin is not None:
                self._origins[origin] -= 1
                self._origins += Counter()  # forgets those that are at nothing
            if alarm.active():
                alarm.cancel()


class Following:
    """
    The waits of one connection, which end with it.

    @param followers: those of all connections.
    @param origin: returns the address of the peer, or L{None} on the unix socket.
    """

    def __init__(
        self, journal: Journal, followers: Followers, origin: Callable[[], str | None]
    ) -> None:
        self._journal, self._followers, self._origin = journal, followers, origin
        self._waiting: set[Deferred[None]] = set()
        self._has_ended = False

    async def news(self, after: int, filters: Filters, limit: int, seconds: float) -> News:
        """
        Return the events after one, and wait for one if there is none.

        @param limit: how many to return at most.
        @param seconds: for how long to wait at most.
        @raise HostShort: if too many wait.
        """
        # The events of before may be lost.
        after = min(after, self._journal.last)
        news = await self._journal.after(after, filters, limit)
        if news.events or not seconds or self._has_ended:
            return news
        who: Deferred[None] = Deferred()
        self._waiting.add(who)
        try:
            await self._followers.wait(who, filters, seconds, self._origin())
        finally:
            self._waiting.discard(who)
        return await self._journal.after(after, filters, limit)

    def end(self) -> None:
        """Wait for nothing any more."""
        self._has_ended = True
        for who in list(self._waiting):
            wake(who)


def wake(who: Deferred[None]) -> None:
    """End a wait, unless it has ended."""
    if not who.called:
        who.callback(None)
