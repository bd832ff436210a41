"""Does, after the answer, what no caller has to wait for: it removes what was set aside."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from runc_cpi.daemon.base.tasks import TaskGroup

AT_ONCE = 2
# How long room is waited for.  A removal that hangs must not hold up who could be refused.
PATIENCE = 60.0  # seconds

Work = Callable[[], Awaitable[None]]


class Reaper:
    """
    A queue of removals, of which a few are under way at once.

    A stop of the daemon waits for them as for calls; the next start does what it broke off,
    for whatever is queued here is found again by looking at the host.

    @param reactor: provides C{IReactorTime}.
    """

    def __init__(self, reactor: Any, tasks: TaskGroup) -> None:
        self._reactor, self._tasks = reactor, tasks
        self._queue: deque[tuple[Work, Deferred[None]]] = deque()
        self._at_work = 0
        self._waiters: list[Deferred[bool]] = []

    @property
    def backlog(self) -> int:
        """How many removals have not ended."""
        return len(self._queue) + self._at_work

    def remove(self, work: Work) -> Deferred[None]:
        """
        Remove something, as soon as it is its turn.

        @param work: does so; it is called once.
        @return: fires when that has ended, and fails as it does; with C{CancelledError} if
            the daemon stops before.
        """
        ended: Deferred[None] = Deferred()
        self._queue.append((work, ended))
        if self._at_work < AT_ONCE:
            self._at_work += 1
            self._tasks.start("removing what was deleted", self._work())
        return ended

    async def _work(self) -> None:
        """Do what is queued, until nothing is left."""
        try:
            while self._queue:
                await self._do(*self._queue.popleft())
        finally:
            self._at_work -= 1
            self._tell()

    async def _do(self, work: Work, ended: Deferred[None]) -> None:
        try:
            await work()
        except CancelledError:
            self._give_up(ended)
            raise
        except Exception:
            ended.errback(Failure())
        else:
            ended.callback(None)
        # This one has ended, and its worker may go on with another.
        self._tell()

    def _give_up(self, ended: Deferred[None]) -> None:
        """Have nobody wait any more: the daemon stops."""
        given_up = [ended, *(waiting for _, waiting in self._queue)]
        self._queue.clear()
        for waiting in given_up:
            waiting.errback(CancelledError())

    def _tell(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(True)

    async def frees(self) -> bool:
        """
        Wait until the next removal has ended, or until that takes too long.

        @return: whether one has ended; if not, to wait again is no use.
        """
        if not self.backlog:
            return False
        waiter: Deferred[bool] = Deferred()
        self._waiters.append(waiter)
        alarm = self._reactor.callLater(PATIENCE, self._expire, waiter)
        try:
            return await waiter
        finally:
            if alarm.active():
                alarm.cancel()

    def _expire(self, waiter: Deferred[bool]) -> None:
        self._waiters.remove(waiter)
        waiter.callback(False)
