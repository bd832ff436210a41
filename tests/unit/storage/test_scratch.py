"""Scratch: what waits for removals, and what does not."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import blockingCallFromThread
from twisted.logger import LogLevel
from twisted.logger import capturedLogs as captured_logs
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.storage import drafts
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.early_syncs import INTERVAL, STEP
from runc_cpi.daemon.storage.reaper import Reaper
from runc_cpi.daemon.storage.scratch import SCANTY, Scratch
from runc_cpi.errors import CloudError
from tests.fakes.script import Script
from tests.fakes.storage import FakeTrees


class ScratchTests(TestCase):
    """The scratch of one daemon, on a disk with as much room as a test says."""

    timeout = 20

    def setUp(self) -> None:
        self.script, self.clock = Script(), Clock()
        self.depot = Depot(Path(os.path.abspath(self.mktemp())))
        self.depot.prepare()
        self.addCleanup(self.depot.release)
        self.tasks = TaskGroup(self.clock)
        self.reaper = Reaper(self.clock, self.tasks)
        self.trees = FakeTrees(self.script)
        self.scratch = Scratch(self.clock, self.depot, self.trees, self.reaper)
        self.free = 2 * SCANTY
        self.patch(os, "statvfs", self.statvfs)

    def statvfs(self, path: Any) -> Any:
        """Say how much room there is."""
        blocks = self.free // 4096
        return os.statvfs_result((4096, 4096, blocks, blocks, blocks, 9, 9, 9, 0, 255))

    def held(self) -> Deferred[None]:
        """Drop something whose removal does not end before the test says so."""
        removal = self.script.pending["remove"] = Deferred()
        self.scratch.drop(self.scratch.new())
        return removal

    def test_enough_room(self) -> None:
        """Nobody waits for a removal while there is room enough."""
        removal = self.held()
        self.successResultOf(Deferred.fromCoroutine(self.scratch.make_room()))
        removal.callback(None)

    def test_little_room(self) -> None:
        """With little room the removals that are under way are waited for, and no more."""
        self.free = SCANTY - 4096
        self.successResultOf(Deferred.fromCoroutine(self.scratch.make_room()))
        removal = self.held()
        waiting = Deferred.fromCoroutine(self.scratch.make_room())
        self.assertNoResult(waiting)
        removal.callback(None)
        self.successResultOf(waiting)

    def begun(self) -> Path:
        """Begin to fill a draft; the first sync is under way, and the test ends it."""
        draft = self.scratch.new()
        self.scratch.begin_sync(draft)
        self.assertEqual(self.script.done, [])
        self.script.pending["sync"] = Deferred()
        self.filled()
        self.assertEqual(self.trees.synced, [self.depot.scratch])
        return draft

    def filled(self, size: int = STEP) -> None:
        """Have less room, and let the time pass after which that is looked at."""
        self.free -= size
        self.clock.advance(INTERVAL)

    def test_a_draft_goes_to_its_disk_meanwhile(self) -> None:
        """One sync follows the other; the last is by the draft's own descriptor."""
        draft = self.begun()
        self.filled(2 * STEP)
        self.assertEqual(self.script.done, ["sync"])
        self.script.pending.pop("sync").callback(None)
        self.clock.advance(INTERVAL)
        self.assertEqual(self.script.done, ["sync"] * 2)
        self.successResultOf(Deferred.fromCoroutine(self.scratch.sync(draft)))
        self.assertEqual(self.trees.synced, [self.depot.scratch] * 2 + [draft])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_little_that_was_written(self) -> None:
        """Syncs hold up VMs as well: there is none before they are worth it."""
        draft = self.scratch.new()
        self.scratch.begin_sync(draft)
        for _ in range(20):
            self.clock.advance(INTERVAL)
        self.filled(STEP - 4096)
        self.filled(-STEP)  # something was removed
        self.filled(STEP - 4096)
        self.assertEqual(self.script.done, [])
        self.filled(4096)
        self.assertEqual(self.script.done, ["sync"])
        self.scratch.drop(draft)

    def test_two_drafts(self) -> None:
        """They are synced at once; that goes on until the last of them is whole."""
        first, second = self.begun(), self.scratch.new()
        self.scratch.begin_sync(second)
        self.script.pending.pop("sync").callback(None)
        self.filled()
        self.assertEqual(self.script.done, ["sync"] * 2)
        self.successResultOf(Deferred.fromCoroutine(self.scratch.sync(first)))
        self.filled()
        self.assertEqual(self.script.done, ["sync"] * 4)
        self.successResultOf(Deferred.fromCoroutine(self.scratch.sync(second)))
        self.assertEqual(self.trees.synced[2:], [first, self.depot.scratch, second])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_early_sync_that_fails(self) -> None:
        """It is of no account: the kernel tells the drafts as well, at their last sync."""
        draft = self.begun()
        self.script.pending.pop("sync").errback(CloudError("cannot write"))
        self.filled()
        self.assertEqual(self.script.done, ["sync"] * 2)
        self.script.failing["sync"] = CloudError("cannot write")
        syncing = Deferred.fromCoroutine(self.scratch.sync(draft))
        self.failureResultOf(syncing, CloudError)

    def test_a_draft_that_is_given_up(self) -> None:
        """It is not synced any more, also if another one is begun at once."""
        for give_up in (self.scratch.drop, self.scratch.discard):
            self.script.done.clear()
            self.trees.synced.clear()
            draft = self.begun()
            pending = self.script.pending.pop("sync")
            if (removing := give_up(draft)) is not None:
                self.successResultOf(Deferred.fromCoroutine(removing))
            self.assertEqual(self.clock.getDelayedCalls(), [])
            another = self.scratch.new()
            self.scratch.begin_sync(another)
            pending.errback(CloudError("cannot write"))
            self.scratch.drop(another)
            self.filled()
            self.assertEqual(self.script.done.count("sync"), 1)
            self.assertEqual(os.listdir(self.depot.scratch), [])

    def test_descriptors(self) -> None:
        """Each draft has one until it is whole or given up, or cannot be made."""
        before = os.listdir("/proc/self/fd")
        drafts = [self.scratch.new() for _ in range(3)]
        self.scratch.drop(drafts[0])
        self.successResultOf(Deferred.fromCoroutine(self.scratch.discard(drafts[1])))
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before) + 1)
        self.scratch.drop(drafts[2])
        self.assertEqual(os.listdir("/proc/self/fd"), before)

        def fail(*_: Any) -> int:
            raise OSError(errno.EMFILE, "no more descriptors")

        self.patch(os, "open", fail)
        with self.assertRaises(OSError):
            self.scratch.new()
        self.assertEqual(os.listdir(self.depot.scratch), [])

    def test_how_urgent_a_removal_is(self) -> None:
        """All else goes first, unless there is little room or somebody waits for it."""
        self.scratch.drop(self.scratch.new())
        self.free = SCANTY - 4096
        self.scratch.drop(self.scratch.new())
        self.free = SCANTY
        with self.reaper.waiting():
            self.scratch.drop(self.scratch.new())
        self.assertEqual(self.trees.idle, [True, False, False])

    async def test_what_takes_room(self) -> None:
        """What is being made does not count; what could not be removed does."""
        drafts = [self.scratch.new() for _ in range(3)]
        self.assertEqual(self.scratch.rubbish(), 0)
        self.script.failing["remove"] = CloudError("it is held")
        await self.scratch.discard(drafts[0])
        self.scratch.drop(drafts[1])
        self.assertEqual(self.scratch.rubbish(), 2)
        self.script.failing.clear()
        await self.scratch.sweep(Repairs())
        self.assertEqual(self.scratch.rubbish(), 0)

    async def test_a_sweep_while_something_is_set_aside(self) -> None:
        """It does not touch that: it may be put back yet."""
        place = self.depot.disks / "disk-1"
        place.mkdir()
        sweeps: list[list[str]] = []
        threads: Any = reactor

        def fail(directory: Path) -> None:
            sweeps.append(blockingCallFromThread(threads, self.swept))
            raise OSError(5, "the disk fails")

        self.patch(drafts, "sync_directory", fail)
        with self.assertRaises(OSError):
            await self.scratch.remove(place)
        self.assertEqual((place.is_dir(), sweeps), (True, [[]]))

    def swept(self) -> Deferred[list[str]]:
        """Sweep, and return what that did."""
        repairs = Repairs()
        sweep = Deferred.fromCoroutine(self.scratch.sweep(repairs))
        return sweep.addCallback(lambda _: list(repairs.done))

    async def test_what_cannot_be_removed(self) -> None:
        """That is logged, what was deleted is out of its place, and a sweep tries again."""
        place = self.depot.disks / "disk-1"
        place.mkdir()
        self.script.failing["remove"] = CloudError("it is held")
        with captured_logs() as events:
            await self.scratch.remove(place)
        self.assertFalse(place.exists())
        (line,) = [event for event in events if event["log_level"] is LogLevel.error]
        self.assertEqual(line["error"], "it is held")
        self.script.failing.clear()
        repairs = Repairs()
        await self.scratch.sweep(repairs)
        self.assertEqual((len(repairs.done), repairs.problems), (1, []))
        self.assertEqual(os.listdir(self.depot.scratch), [])

    def test_a_stop(self) -> None:
        """What a stop breaks off is no error: the next start removes it."""
        removal = self.held()
        with captured_logs() as events:
            self.tasks.cancel()
        self.assertEqual(events, [])
        removal.callback(None)
