"""What is answered: a name of our own, what is remembered, and what others know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from runc_cpi.daemon.host.dns import messages, queries
from runc_cpi.daemon.host.dns.cache import Cache
from runc_cpi.daemon.host.dns.places import Places
from runc_cpi.daemon.host.dns.queries import Address, Query
from runc_cpi.daemon.host.dns.questions import Questions
from runc_cpi.daemon.host.dns.upstream import NoAnswer, Upstream

# Whoever asks for it learns the gateway's address, at which programs of the host listen.
HOST_NAME = b"host.internal"
HOST_TTL = 60  # seconds


class TooMany(Exception):
    """The client asks too much at once."""


class Resolver:
    """
    Answers queries, whoever sent them.

    @param places: for those whose answer is not here and has to be waited for.
    @param servers: returns the addresses of the name servers to ask, as they are now.
    """

    def __init__(
        self,
        reactor: Any,
        upstream: Upstream,
        places: Places,
        servers: Callable[[], Sequence[str]],
    ) -> None:
        self._upstream, self._places, self._servers = upstream, places, servers
        self._known: Sequence[str] = ()
        self._cache = Cache(reactor.seconds)
        self._questions = Questions()

    async def answer(self, query: Query, client: str, gateway: Address) -> bytes:
        """
        Answer a query; if nobody can, that is told.

        @param client: names whom it is from.
        @param gateway: the address at which it came.
        @raise TooMany: if the client has too many under way, or all clients have and it is
            none of those with fewer than others.
        """
        if query.name == HOST_NAME:
            return queries.address_reply(query, [gateway], HOST_TTL)
        servers = self._servers()
        if servers != self._known:
            # Others may know other names: those of a private network, say.
            self._cache.clear()
            self._known = servers
        answer = self._cache.get(query.identity)
        if answer is None:
            answer = await self._wait(query, client, servers)
        return messages.renumbered(answer, query.number)

    async def _wait(self, query: Query, client: str, servers: Sequence[str]) -> bytes:
        """
        Take a place, and wait there for the answer.

        @raise TooMany: if there is no place, or it is needed for another client.
        """
        turn: Deferred[bytes] = Deferred()
        drop = partial(turn.errback, TooMany())
        if not self._places.take(client, drop):
            raise TooMany
        try:
            return await self._questions.answer(
                query, partial(self._ask, query, servers), turn
            )
        finally:
            self._places.free(client, drop)

    async def _ask(self, query: Query, servers: Sequence[str]) -> bytes:
        try:
            answer = await self._upstream.ask(query, servers)
        except NoAnswer:
            return messages.reply(query.message, messages.SERVER_FAILURE, query.question)
        if servers == self._known:
            self._cache.put(query.identity, answer)
        return answer
