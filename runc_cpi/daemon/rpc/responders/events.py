"""Answers to commands about events, and about calls that are under way."""

from __future__ import annotations

from typing import Any

from twisted.protocols import amp

from runc_cpi.daemon.events.calls import Calls
from runc_cpi.daemon.events.filters import Filters
from runc_cpi.daemon.events.followers import Following
from runc_cpi.daemon.events.journal import Journal
from runc_cpi.daemon.rpc import commands
from runc_cpi.errors import InvalidArgument

Answer = dict[str, Any]

MOST = 200  # events or calls in an answer: to encode more would hold up other calls
MOST_SECONDS = 60


class EventResponders(amp.CommandLocator):
    """
    Answers commands about what happens here.

    @param following: the waits of this connection.
    """

    def __init__(self, journal: Journal, calls: Calls, following: Following) -> None:
        self._journal, self._calls, self._following = journal, calls, following

    @commands.ListEvents.responder
    async def list_events(
        self, limit: int, filters: Any = None, before: int | None = None
    ) -> Answer:
        _check("limit", limit, 1, MOST)
        last = self._journal.last
        events = await self._journal.newest(Filters.parse(filters), limit, before)
        return {"events": [event.to_json() for event in events], "last": last}

    @commands.FollowEvents.responder
    async def follow_events(
        self, limit: int, after: int, seconds: int, filters: Any = None
    ) -> Answer:
        _check("limit", limit, 1, MOST)
        _check("seconds", seconds, 0, MOST_SECONDS)
        parsed = Filters.parse(filters)
        news = await self._following.news(after, parsed, limit, seconds)
        return {
            "events": [event.to_json() for event in news.events],
            "last": news.last,
            "missed": news.missed,
        }

    @commands.ListCalls.responder
    def list_calls(self) -> Answer:
        under_way = self._calls.all()
        return {
            "calls": [self._calls.describe(call) for call in under_way[:MOST]],
            "total": len(under_way),
        }


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidArgument(f"{name}: {value} must be {least} to {most}")
