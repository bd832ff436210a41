"""Background work with an owner: it has a name, its failures are logged, a stop ends it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from runc_cpi.daemon.base.locks import unlocked_context


class TaskGroup:
    """
    Work that no caller waits for.

    Whoever makes a group stops it: with L{wait}, and then with L{cancel}.

    @param reactor: provides C{IReactorTime}.
    """

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._tasks: dict[Deferred[None], _Task] = {}
        self._waiters: list[Deferred[None]] = []

    def start(
        self, name: str, work: Coroutine[Any, Any, None], *, awaited: bool = True
    ) -> Deferred[None]:
        """
        Start work.  If it fails, that is logged as a bug.

        @param name: what is done, for the log, such as C{bringing back vm-1}.
        @param awaited: whether L{wait} waits for it, and L{cancel} says that it was not
            finished.  Work that may end at any moment, or never does, is not awaited.
        @return: fires when the work has ended, and never fails.  Whoever cancels it does
            not wait any more; the work goes on.
        """
        running: Deferred[None] = unlocked_context().run(Deferred.fromCoroutine, work)
        self._tasks[running] = _Task(name, awaited)
        # Not the work's own: a cancelled task that waits for this one would cancel it, too.
        ended: Deferred[None] = Deferred()
        running.addBoth(self._ended, running, ended)
        return ended

    def _ended(
        self, result: Failure | None, running: Deferred[None], ended: Deferred[None]
    ) -> None:
        task = self._tasks.pop(running)
        if isinstance(result, Failure) and not (
            task.is_cancelled and result.check(CancelledError)
        ):
            self.log.failure("bug: {name} failed", result, name=task.name)
        if not self._has_awaited():
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                waiter.callback(None)
        ended.callback(None)

    def _has_awaited(self) -> bool:
        return any(task.awaited for task in self._tasks.values())

    async def wait(self, seconds: float) -> bool:
        """
        Wait for the awaited work, also for what is started meanwhile.

        @param seconds: for how long at most.
        @return: whether all of it has ended.
        """
        if not self._has_awaited():
            return True
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        alarm = self._reactor.callLater(seconds, waiter.cancel)
        try:
            await waiter
        except CancelledError:
            return False
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            if alarm.active():
                alarm.cancel()
        return True

    def cancel(self) -> None:
        """Cancel all work, and log the name of each awaited one."""
        for running, task in list(self._tasks.items()):
            if task.awaited and not task.is_cancelled:
                self.log.warn("broken off: {name}", name=task.name)
            task.is_cancelled = True
            running.cancel()


class _Task:
    """What is known of work that has not ended."""

    def __init__(self, name: str, awaited: bool) -> None:
        self.name, self.awaited = name, awaited
        self.is_cancelled = False
