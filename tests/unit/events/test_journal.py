"""The journal: what is in memory and on disk, and what becomes of a disk that fails."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater
from twisted.logger import capturedLogs, eventAsText
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.events.filters import ALL, Filters
from runc_cpi.daemon.events.journal import RECENT, RETRY_SECONDS, UNWRITTEN, Journal
from runc_cpi.daemon.events.ring import NEW, Ring
from tests.unit.events.examples import VALUES

HALF = RECENT // 2


class JournalTests(TestCase):
    """A journal over a real ring."""

    timeout = 60

    def setUp(self) -> None:
        self.directory = Path(os.path.abspath(self.mktemp()))
        self.directory.mkdir()
        self.clock = Clock()
        stack = ExitStack()
        self.addCleanup(stack.close)
        self.log = stack.enter_context(capturedLogs())

    async def journal(self, size: int = 1 << 20) -> Journal:
        """Open a journal."""
        tasks = TaskGroup(self.clock)
        self.addCleanup(tasks.cancel)
        journal = Journal(self.clock, tasks, Ring(self.directory, size))
        await journal.open()
        return journal

    def fill(self, journal: Journal, number: int, **changes: Any) -> None:
        """Add some events."""
        for _ in range(number):
            journal.add(**{**VALUES, **changes})

    async def until(self, condition: Any) -> None:
        """Let threads run until a condition holds, or the test's time is over."""
        while not condition():
            await deferLater(reactor, 0.001)

    def lines(self) -> int:
        """Return how many lines are in the newer file."""
        path = self.directory / NEW
        return path.read_bytes().count(b"\n") if path.is_file() else 0

    def said(self, text: str) -> int:
        """Return how often something was logged."""
        return sum(text in eventAsText(event) for event in self.log)

    async def numbers(self, journal: Journal, limit: int, **filters: Any) -> list[int]:
        """Return the numbers of the newest events that are wanted."""
        found = await journal.newest(Filters.parse(filters), limit)
        return [event.number for event in found]

    async def test_from_memory_and_disk(self) -> None:
        """The newest events are found, wherever they are, the oldest of them first."""
        journal = await self.journal()
        self.fill(journal, HALF, method="reboot_vm")
        self.fill(journal, RECENT)
        last = journal.last
        self.assertEqual(last, HALF + RECENT)
        await self.until(lambda: self.lines() == last)
        self.assertEqual(await self.numbers(journal, 2), [last - 1, last])
        self.assertEqual(await self.numbers(journal, 9999), list(range(1, last + 1)))
        self.assertEqual(
            await self.numbers(journal, 2, method="reboot_vm"), [HALF - 1, HALF]
        )
        before = await journal.newest(ALL, 2, before=HALF + 2)
        self.assertEqual([event.number for event in before], [HALF, HALF + 1])
        await journal.close()

    async def test_the_next_daemon(self) -> None:
        """What was not written yet is written at the end, and numbers go on."""
        journal = await self.journal()
        self.fill(journal, 3)
        await journal.close()
        again = await self.journal()
        self.assertEqual(await self.numbers(again, 9), [1, 2, 3])
        self.fill(again, 1)
        self.assertEqual(await self.numbers(again, 9), [1, 2, 3, 4])
        await again.close()

    async def test_nothing_is_written_before_it_is_open(self) -> None:
        """Without files the journal is in memory alone."""
        journal = Journal(self.clock, TaskGroup(self.clock), Ring(self.directory, 1))
        self.fill(journal, 2)
        self.assertEqual(await self.numbers(journal, 9), [1, 2])
        self.assertEqual(os.listdir(self.directory), [])

    async def test_memory_is_bounded(self) -> None:
        """However many events come, only so many are in memory."""
        journal = await self.journal(1 << 20)
        for _ in range(10):
            self.fill(journal, RECENT)
            await deferLater(reactor, 0)
        self.assertEqual(len((await journal.after(0, ALL, 99_999)).events), RECENT)
        await journal.close()
        self.assertLessEqual(
            sum(path.stat().st_size for path in self.directory.iterdir()), 1 << 20
        )

    async def test_a_disk_that_fails(self) -> None:
        """A disk that fails holds up nothing; it is said once, and written later."""
        (self.directory / NEW).mkdir()
        journal = await self.journal(8 << 20)
        self.fill(journal, UNWRITTEN + 7)
        self.assertEqual(self.said("events cannot be kept: "), 1)
        self.assertEqual(len((await journal.after(0, ALL, 99_999)).events), RECENT)
        await self.until(self.clock.getDelayedCalls)
        self.clock.advance(RETRY_SECONDS)
        await self.until(self.clock.getDelayedCalls)
        self.assertEqual(self.said("events cannot be kept: "), 1)
        (self.directory / NEW).rmdir()
        self.clock.advance(RETRY_SECONDS)
        await self.until(lambda: self.lines() == UNWRITTEN)
        await self.until(lambda: self.said("events are kept again; 7 were lost"))
        await journal.close()

    async def test_a_disk_that_fails_to_the_end(self) -> None:
        """A stop comes to its end when nothing can be written."""
        (self.directory / NEW).mkdir()
        journal = await self.journal()
        self.fill(journal, 2)
        await journal.close()
        self.assertEqual(self.said("events cannot be kept: "), 1)

    async def test_what_is_new(self) -> None:
        """A follower gets what it wants in turn, and is told of what went by."""
        journal = Journal(self.clock, TaskGroup(self.clock), Ring(self.directory, 1))
        self.fill(journal, 3, method="reboot_vm")
        self.fill(journal, 3)
        wanted = Filters.parse({"method": "has_vm"})
        news = await journal.after(0, wanted, 2)
        self.assertEqual([event.number for event in news.events], [4, 5])
        self.assertEqual((news.last, news.missed), (5, 0))
        news = await journal.after(5, wanted, 2)
        self.assertEqual(([event.number for event in news.events], news.last), ([6], 6))
        self.fill(journal, RECENT)
        news = await journal.after(6, ALL, 1)
        self.assertEqual((news.events[0].number, news.missed), (7, 0))
        self.assertEqual((await journal.after(3, ALL, 1)).missed, 3)

    async def test_what_was_missed(self) -> None:
        """Of what went by, a follower misses only what it wants."""
        journal = await self.journal()
        self.fill(journal, 2, method="reboot_vm")
        self.fill(journal, 3, method="has_disk")
        self.fill(journal, RECENT)
        await self.until(lambda: self.lines() == journal.last)
        wanted = Filters.parse({"method": "reboot_vm"})
        self.assertEqual((await journal.after(0, ALL, 1)).missed, 5)
        self.assertEqual((await journal.after(0, wanted, 1)).missed, 2)
        self.assertEqual((await journal.after(1, wanted, 1)).missed, 1)
        self.assertEqual((await journal.after(2, wanted, 1)).missed, 0)
        await journal.close()
