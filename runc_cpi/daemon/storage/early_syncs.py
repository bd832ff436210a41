"""Has what is being written go to its disk meanwhile, so that the last sync is short."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

# A kernel begins by itself only after 30 s, or once a tenth of the memory is to be written.
INTERVAL = 0.5  # seconds


class EarlySyncs:
    """
    Syncs every L{INTERVAL}, one after the other, until L{end} or L{give_up}.

    One that fails is the last.

    @param reactor: provides C{IReactorTime}.
    @param sync: syncs once.
    """

    def __init__(
        self, reactor: Any, sync: Callable[[], Coroutine[Deferred[Any], Any, None]]
    ) -> None:
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(sync()))
        self._loop.clock = reactor
        self._ended = self._loop.start(INTERVAL, now=False)

    async def end(self) -> None:
        """
        Sync no more, and wait for one that is under way.

        @raise CloudError: as the one that failed does.
        """
        self._stop()
        await self._ended

    def give_up(self) -> None:
        """Sync no more; it does not matter any more whether one fails."""
        self._stop()
        self._ended.addErrback(lambda _: None)

    def _stop(self) -> None:
        if self._loop.running:
            self._loop.stop()
