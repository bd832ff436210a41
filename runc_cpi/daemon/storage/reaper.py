"""Does, after the answer, what no caller has to wait for: it removes what was set aside."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from runc_cpi.daemon.base.tasks import TaskGroup

AT_ONCE = 2
# Those that hang are under way as well.
AT_MOST = 16
# How long room is waited for, and how long a removal may hold up the others.
PATIENCE = 60.0  # seconds

Work = Callable[[], Awaitable[None]]


class Reaper:
    """
    A queue of removals, of which a few are under way at once.

    One that takes too long does not hold up the others: they go on beside it.

    A stop of the daemon breaks them off, after it waited for a moment with L{drain}; the
    next start does the rest, for whatever is queued here is found again by looking at the
    host.

    @param reactor: provides C{IReactorTime}.
    """

    def __init__(self, reactor: Any, tasks: TaskGroup) -> None:
        self._reactor, self._tasks = reactor, tasks
        self._queue: deque[tuple[Work, Deferred[None]]] = deque()
        # Workers, and how many of them are at a removal that takes too long.
        self._at_work, self._stuck = 0, 0
        self._waiters: list[Deferred[bool]] = []
        self._in_a_hurry = 0

    @property
    def backlog(self) -> int:
        """How many removals have not ended."""
        return len(self._queue) + self._at_work

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for room."""
        return self._in_a_hurry > 0

    def remove(self, work: Work) -> Deferred[None]:
        """
        Remove something, as soon as it is its turn.

        @param work: does so; it is called once.
        @return: fires when that has ended, and fails as it does; with C{CancelledError} if
            the daemon stops before.
        """
        ended: Deferred[None] = Deferred()
        self._queue.append((work, ended))
        self._begin()
        return ended

    def _begin(self) -> None:
        """Have one more worker, if there is work for it and there may be one."""
        is_free = self._at_work - self._stuck < AT_ONCE and self._at_work < AT_MOST
        if self._queue and is_free:
            self._at_work += 1
            self._tasks.start("removing what was deleted", self._work(), awaited=False)

    async def _work(self) -> None:
        """Do what is queued, until nothing is left or another took this one's place."""
        try:
            while self._queue and self._at_work - self._stuck <= AT_ONCE:
                await self._do(*self._queue.popleft())
        finally:
            self._at_work -= 1
            self._tell()
        self._begin()

    async def _do(self, work: Work, ended: Deferred[None]) -> None:
        alarm = self._reactor.callLater(PATIENCE, self._pass_by)
        try:
            await work()
        except CancelledError:
            self._give_up(ended)
            raise
        except Exception:
            ended.errback(Failure())
        else:
            ended.callback(None)
        finally:
            if alarm.active():
                alarm.cancel()
            else:
                self._stuck -= 1
        # This one has ended, and its worker may go on with another.
        self._tell()

    def _pass_by(self) -> None:
        """Go on beside a removal that takes too long."""
        self._stuck += 1
        self._begin()

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

    @contextmanager
    def waiting(self, seconds: float = PATIENCE) -> Iterator[float]:
        """
        Take note that somebody waits for room, who asks L{frees} once or often.

        @param seconds: for how long in all.
        @return: until when that is, in the reactor's seconds.
        """
        self._in_a_hurry += 1
        try:
            yield self._reactor.seconds() + seconds
        finally:
            self._in_a_hurry -= 1

    async def drain(self, seconds: float) -> bool:
        """
        Wait until nothing is left to be removed.

        @param seconds: for how long at most.
        @return: whether nothing is left.
        """
        with self.waiting(seconds) as deadline:
            while await self.frees(deadline):
                continue
        return not self.backlog

    async def frees(self, deadline: float) -> bool:
        """
        Wait until the next removal has ended.

        @param deadline: until when at most, in the reactor's seconds.
        @return: whether one has ended; if not, to wait again is no use.
        """
        seconds = deadline - self._reactor.seconds()
        if not self.backlog or seconds <= 0:
            return False
        waiter: Deferred[bool] = Deferred()
        self._waiters.append(waiter)
        alarm = self._reactor.callLater(seconds, self._expire, waiter)
        try:
            return await waiter
        finally:
            if alarm.active():
                alarm.cancel()

    def _expire(self, waiter: Deferred[bool]) -> None:
        self._waiters.remove(waiter)
        waiter.callback(False)
