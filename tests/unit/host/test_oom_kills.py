"""Kills for want of memory on cgroup v2, told by files as the kernel has them there."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.host.cgroups.oom_kills import OOMKillerV2

EVENTS = "low 0\nhigh 0\nmax 12\noom {0}\noom_kill {0}\noom_group_kill 0\n"


def fire(waiting: Deferred[None]) -> None:
    """Fire, unless that is done."""
    if not waiting.called:
        waiting.callback(None)


class OOMKillerV2Tests(TestCase):
    """Files in place of cgroups: this machine may have the controller in v1."""

    timeout = 20

    def setUp(self) -> None:
        self.root = Path(os.path.abspath(self.mktemp()))
        for name in ("vm-1", "vm-2"):
            self.write(name, 0)
        self.killer = OOMKillerV2(reactor, self.root)
        self.addCleanup(self.killer.unwatch, "/c/vm-1")

    def write(self, name: str, count: int) -> None:
        """Write what the kernel tells of a VM."""
        path = self.root / "c" / name / "memory.events"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(EVENTS.format(count))

    async def test_changes_are_told(self) -> None:
        """Who watches a VM is told when its count changes; the others are not."""
        told: Deferred[None] = Deferred()
        self.killer.watch("/c/vm-1", lambda: fire(told))
        self.killer.watch("/c/vm-2", lambda: self.fail("it is another VM"))
        self.write("vm-1", 3)
        await told
        self.assertEqual(self.killer.count("/c/vm-1"), 3)
        self.assertEqual(self.killer.count("/c/vm-2"), 0)
        self.killer.unwatch("/c/vm-2")

    async def test_a_vm_that_goes(self) -> None:
        """A VM whose cgroup somebody else removed does not end the watch of others."""
        self.killer.watch("/c/vm-2", lambda: None)
        told: Deferred[None] = Deferred()
        self.killer.watch("/c/vm-1", lambda: fire(told))
        (self.root / "c/vm-2/memory.events").unlink()
        self.write("vm-1", 1)
        await told
        self.killer.unwatch("/c/vm-2")
        self.assertIsNone(self.killer.count("/c/vm-2"))
        self.killer.unwatch("/c/vm-1")
        # It can be watched again after it was the last one.
        again: Deferred[None] = Deferred()
        self.killer.watch("/c/vm-1", lambda: fire(again))
        self.write("vm-1", 2)
        await again

    def test_no_controller(self) -> None:
        """A cgroup without the memory controller is not watched."""
        (self.root / "c/vm-1/memory.events").unlink()
        self.killer.watch("/c/vm-1", lambda: None)
        self.assertIsNone(self.killer.count("/c/vm-1"))
