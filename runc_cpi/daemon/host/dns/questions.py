"""Questions that are under way: each is asked once, for all who want to know."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from runc_cpi.daemon.host.dns.queries import Query


@dataclass(kw_only=True)
class _Question:
    """
    A question that is under way.

    @ivar asking: fires with the answer.
    @ivar waiting: those of the clients who wait for it.
    """

    asking: Deferred[Any] | None = None
    waiting: set[Deferred[bytes]] = field(default_factory=set)


class Questions:
    """
    Asks each question once at a time.

    So whoever wants to slip in a false answer has one question to guess the id of, and not
    many (RFC 5452).
    """

    def __init__(self) -> None:
        self._under_way: dict[bytes, _Question] = {}

    async def answer(
        self,
        query: Query,
        ask: Callable[[], Coroutine[Any, Any, bytes]],
        turn: Deferred[bytes],
    ) -> bytes:
        """
        Return the answer to a query.

        @param ask: asks for it, unless that is under way.  It is cancelled once nobody
            waits for the answer any more.
        @param turn: is fired with the answer.  If it is fired before, with a failure, this
            client does not wait any more.
        """
        question = self._under_way.get(query.identity)
        if question is not None:
            question.waiting.add(turn)
        else:
            question = self._under_way[query.identity] = _Question(waiting={turn})
            question.asking = Deferred.fromCoroutine(ask())
            question.asking.addBoth(self._told, query.identity)
        try:
            return await turn
        finally:
            question.waiting.discard(turn)
            if not question.waiting and question.asking is not None:
                question.asking.cancel()

    def _told(self, answer: bytes | Failure, identity: bytes) -> None:
        waiting = self._under_way.pop(identity).waiting
        while waiting:
            # To answer one may drop another.
            waiting.pop().callback(answer)
