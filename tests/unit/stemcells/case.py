"""The stemcells of a daemon, over a fake archiver."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.reaper import Reaper
from runc_cpi.daemon.storage.scratch import Scratch
from tests.fakes.script import Script
from tests.fakes.stemcells import IMAGE, FakeArchiver, FakeImages
from tests.fakes.storage import FakeTrees

SIZE = 4096


class StemcellsCase(TestCase):
    """The stemcells of one daemon, in a real directory."""

    timeout = 20

    def setUp(self) -> None:
        self.assertEqual(IMAGE.size, SIZE)
        self.script = Script()
        self.depot = Depot(Path(os.path.abspath(self.mktemp())))
        self.depot.prepare()
        self.addCleanup(self.depot.release)
        self.image = os.open(os.devnull, os.O_RDONLY)
        self.addCleanup(os.close, self.image)
        self.stemcells = self.loaded()

    def loaded(self) -> Stemcells:
        """Read the stemcells from disk, as a daemon does that starts."""
        self.images = FakeImages(self.script)
        self.archiver, clock = FakeArchiver(self.script), Clock()
        reaper = Reaper(clock, TaskGroup(clock))
        self.scratch = Scratch(clock, self.depot, FakeTrees(self.script), reaper)
        stemcells = Stemcells(self.depot, self.archiver, self.images, self.scratch)
        stemcells.load(Repairs())
        return stemcells

    def assert_nothing_left(self) -> None:
        """Check that there is no stemcell, whole or in part."""
        self.assertEqual(self.stemcells.all(), [])
        self.assertEqual(os.listdir(self.depot.stemcells), [])
        self.assertEqual(os.listdir(self.depot.images), [])
        self.assertEqual(os.listdir(self.depot.scratch), [])
