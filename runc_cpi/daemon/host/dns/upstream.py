"""Asks the host's name servers: one after the other, until one of them answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from twisted.internet.defer import TimeoutError

from runc_cpi.daemon.host.dns import long_answers, messages
from runc_cpi.daemon.host.dns.inquiry import Inquiry, Told
from runc_cpi.daemon.host.dns.long_answers import NoLongAnswer
from runc_cpi.daemon.host.dns.queries import Query
from runc_cpi.daemon.host.dns.trust import Trust

# As long as programs of the host wait until they ask again (resolv.conf(5)).
PATIENCE_IN_ALL = 5.0  # seconds
PATIENCE_AT_LAST = 1.0  # seconds, at least, once all were asked again


class NoAnswer(Exception):
    """No server has answered."""


class Upstream:
    """
    Asks the name servers that the host has.

    When one has not answered in time, the next one is asked as well, and at last all of
    them again.  Whichever answers first is believed.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._trust = Trust(reactor.seconds)

    async def ask(self, query: Query, servers: Sequence[str]) -> bytes:
        """
        Ask servers until one answers.

        @param servers: their addresses, in the order in which they are wanted.
        @return: the answer, with the id of the query; if all fail, the last one's failure.
        @raise NoAnswer: if none answers.
        """
        inquiry = Inquiry(self._reactor, query)
        failure = None
        try:
            async for server, answer in self._told(inquiry, servers):
                if answer is None:
                    continue
                self._trust.heard(server)
                if messages.code_of(answer) not in messages.FAILURES:
                    whole = await self._whole(server, query, answer)
                    return messages.renumbered(whole, query.number)
                failure = answer
        finally:
            inquiry.close()
        if failure is None:
            raise NoAnswer
        return messages.renumbered(failure, query.number)

    async def _told(self, inquiry: Inquiry, servers: Sequence[str]) -> AsyncIterator[Told]:
        """Ask the servers, and yield what they tell as it comes."""
        began = self._reactor.seconds()
        for server in dict.fromkeys(servers):
            asked = self._reactor.seconds()
            inquiry.ask(server)
            try:
                yield await inquiry.told(self._trust.patience(server))
            except TimeoutError:
                self._trust.missed(server, asked)
        inquiry.repeat()
        end = max(began + PATIENCE_IN_ALL, self._reactor.seconds() + PATIENCE_AT_LAST)
        while not inquiry.is_over:
            try:
                yield await inquiry.told(max(end - self._reactor.seconds(), 0))
            except TimeoutError:
                return

    async def _whole(self, server: str, query: Query, answer: bytes) -> bytes:
        """Return an answer whole, if the server gives it."""
        if not messages.is_truncated(answer):
            return answer
        try:
            return await long_answers.fetch(self._reactor, server, query)
        except (NoLongAnswer, OSError):
            return answer  # the client may try that itself
