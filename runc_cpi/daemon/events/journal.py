"""The journal: events are numbered here, kept in memory and on disk, and told to others."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import DeferredLock
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.events.event import Event, stamp
from runc_cpi.daemon.events.filters import ALL, Filters
from runc_cpi.daemon.events.ring import Ring

RECENT = 1000  # events that are in memory
# Events that may wait for the disk; of more, the oldest are lost.
UNWRITTEN = 4 * RECENT
RETRY_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class News:
    """
    What a follower has not seen yet.

    @ivar events: those that it wants, the oldest first.
    @ivar last: the number up to which it has seen all then.
    @ivar missed: how many of these went by that are not in memory any more.
    """

    events: Sequence[Event]
    last: int
    missed: int


class Journal:
    """
    All that happened, within bounds.

    To add an event takes no more than to put it into memory.  Threads write what has
    come, so a disk that is slow, full or gone holds up nothing.

    @param reactor: provides C{IReactorTime}.
    @param tasks: the writing is one of these.
    @param ring: where events are kept; nothing is written before L{open}.
    """

    log = Logger()

    def __init__(self, reactor: Any, tasks: TaskGroup, ring: Ring) -> None:
        self._reactor, self._tasks, self._ring = reactor, tasks, ring
        self._recent: deque[Event] = deque(maxlen=RECENT)
        self._unwritten: deque[Event] = deque(maxlen=UNWRITTEN)
        self._listeners: list[Callable[[Event], None]] = []
        self._turns = DeferredLock()
        self._last = self._lost = 0
        self._is_open = self._is_writing = self._is_failing = False

    @property
    def last(self) -> int:
        """The number of the last event, or 0."""
        return self._last

    @property
    def unwritten(self) -> int:
        """How many events are not on disk yet."""
        return len(self._unwritten)

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Have a function called with each event from now on; it must not take long."""
        self._listeners.append(listener)

    async def open(self) -> None:
        """Go on where the last daemon ended."""
        try:
            self._last = await deferToThread(self._ring.last_number)
        except OSError as error:
            self._failed(error)
        self._is_open = True

    async def close(self) -> None:
        """Write what is not written yet, and let go of the files."""
        self._is_open = False
        try:
            await self._append(list(self._unwritten))
        except OSError as error:
            self._failed(error)
        await deferToThread(self._ring.close)

    def add(self, **values: Any) -> Event:
        """
        Add an event that happens now.

        @param values: the fields of L{Event}, but its number and time.
        """
        self._last += 1
        event = Event(number=self._last, time=stamp(time.time()), **values)
        self._recent.append(event)
        if self._is_open:
            self._keep([event])
        for listener in self._listeners:
            listener(event)
        return event

    async def newest(
        self, filters: Filters, limit: int, before: int | None = None
    ) -> list[Event]:
        """
        Return the newest events that are wanted, the oldest of them first.

        @param limit: how many at most.
        @param before: the number that all must be below.
        @raise OSError: if those on disk cannot be read.
        """
        found: list[Event] = []
        first = self._recent[0].number if self._recent else self._last + 1
        for event in reversed(self._recent):
            if len(found) == limit:
                break
            if (before is None or event.number < before) and filters.match(event):
                found.append(event)
        if len(found) < limit and self._is_open:
            end = first if before is None else min(first, before)
            more = limit - len(found)
            found += await deferToThread(self._ring.newest, filters, more, end)
        return found[::-1]

    async def after(self, number: int, filters: Filters, limit: int) -> News:
        """
        Return what is wanted of the events after one.

        @param limit: how many at most; a follower asks again for more.
        """
        news = self._after(number, filters, limit)
        if not news.missed or filters == ALL or not self._is_open:
            return news
        try:
            end = number + news.missed + 1
            missed = await deferToThread(self._ring.count, filters, number, end)
        except OSError:
            return news
        return replace(news, missed=missed)

    def _after(self, number: int, filters: Filters, limit: int) -> News:
        found: list[Event] = []
        last = self._last
        for event in self._recent:
            if event.number > number and filters.match(event):
                found.append(event)
                if len(found) == limit:
                    last = event.number
                    break
        first = self._recent[0].number if self._recent else self._last + 1
        return News(events=found, last=last, missed=max(0, first - 1 - number))

    def _keep(self, events: Iterable[Event]) -> None:
        for event in events:
            self._lost += len(self._unwritten) == UNWRITTEN
            self._unwritten.append(event)
        if not self._is_writing:
            self._is_writing = True
            self._tasks.start("writing events", self._write(), awaited=False)

    async def _write(self) -> None:
        try:
            while self._unwritten:
                batch, self._unwritten = self._unwritten, deque(maxlen=UNWRITTEN)
                try:
                    await self._append(batch)
                except OSError as error:
                    self._failed(error)
                    came, self._unwritten = self._unwritten, batch
                    self._keep(came)
                    await deferLater(self._reactor, RETRY_SECONDS)
                else:
                    self._succeeded()
        finally:
            self._is_writing = False

    async def _append(self, batch: Sequence[Event]) -> None:
        """Write after what is being written: on disk the numbers grow."""
        await self._turns.run(deferToThread, self._ring.append, batch)

    def _failed(self, error: OSError) -> None:
        """Say so, once."""
        if not self._is_failing:
            self._is_failing = True
            self.log.warn("events cannot be kept: {reason}", reason=str(error))

    def _succeeded(self) -> None:
        if self._is_failing:
            self._is_failing, lost, self._lost = False, self._lost, 0
            self.log.info("events are kept again; {lost} were lost", lost=lost)
