"""A file system that cannot be written any more: each draft on it learns of that."""

from __future__ import annotations

import os
import subprocess
from functools import partial
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.host.files.trees import Trees
from runc_cpi.daemon.host.processes import Processes
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.early_syncs import INTERVAL, STEP
from runc_cpi.daemon.storage.reaper import Reaper
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.errors import CloudError
from tests.harness.waiting import eventually

ROOM = 8 << 20  # bytes, for a file system that seems to have much more


class NotedTrees(Trees):
    """
    Notes how syncs end.

    @ivar ended: what was wrong with each, or nothing.
    """

    def __init__(self, processes: Processes) -> None:
        super().__init__(processes)
        self.ended: list[str] = []

    async def sync(self, directory: int) -> None:
        """Sync for real."""
        problem = ""
        try:
            await super().sync(directory)
        except CloudError as error:
            problem = str(error)
            raise
        finally:
            self.ended.append(problem)


def unmount(place: Path) -> None:
    """Unmount a file system; a loop device may yet have a file of it open."""
    argv = ["umount", str(place)]
    unmounted = partial(subprocess.run, argv, capture_output=True, check=False)
    eventually(lambda: unmounted().returncode == 0, f"{place} is unmounted")


class SyncsTests(TestCase):
    """Drafts on a loop device whose file has less room than its file system believes."""

    timeout = 60

    def setUp(self) -> None:
        home = Path(self.mktemp()).absolute()
        backing, self.place = home / "backing", home / "place"
        backing.mkdir(parents=True)
        self.place.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs"]
        subprocess.run(["mount", *options, str(backing)], check=True)
        self.addCleanup(unmount, backing)
        disk = backing / "disk"
        disk.touch()
        os.truncate(disk, 8 * STEP)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", str(disk)], check=True)
        subprocess.run(["mount", "-o", "loop", str(disk), str(self.place)], check=True)
        self.addCleanup(unmount, self.place)
        self.clock = Clock()
        null = os.open(os.devnull, os.O_RDWR)
        self.addCleanup(os.close, null)
        depot = Depot(self.place)
        depot.prepare()
        self.addCleanup(depot.release)
        self.trees = NotedTrees(Processes(reactor, 4, null))
        reaper = Reaper(self.clock, TaskGroup(self.clock))
        self.scratch = Scratch(self.clock, depot, self.trees, reaper)

    def new(self) -> Path:
        """Begin a draft, which is given up at the end."""
        draft = self.scratch.new()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.scratch.discard(draft)))
        return draft

    async def test_a_failure_that_others_learn_of_first(self) -> None:
        """Neither an early sync nor another draft nor a program takes it from a draft."""
        drafts = [self.new() for _ in range(3)]
        self.scratch.begin_sync(drafts[0])
        (drafts[0] / "file").write_bytes(b"x" * (STEP + ROOM))
        self.clock.advance(INTERVAL)
        while not self.trees.ended:
            await deferLater(reactor, 0.01)
        argv = ["sync", "--file-system", str(self.place)]
        subprocess.run(argv, stderr=subprocess.DEVNULL, check=False)
        text = "cannot sync the file system: Input/output error"
        for draft in drafts:
            with self.assertRaises(CloudError) as caught:
                await self.scratch.sync(draft)
            self.assertEqual(str(caught.exception), text)
        self.assertEqual(self.trees.ended, [text] * 4)
