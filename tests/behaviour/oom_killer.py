"""How kills for want of memory are noticed and counted: L{IOOMKiller}."""

from __future__ import annotations

from typing import ClassVar

from twisted.internet.defer import Deferred

from runc_cpi.daemon.vms.interfaces import IOOMKiller
from tests.behaviour.case import HostCase


class Behaviour(HostCase):
    """A VM that wants more memory than it may have."""

    interfaces = (IOOMKiller,)
    ram: ClassVar[int | None] = 32

    async def test_kills_are_told_and_counted(self) -> None:
        """Who watches a VM is told of a kill, and each kill counts."""
        self.make_bundle()
        await self.create()
        await self.start()
        cgroup = self.state().cgroup
        told: Deferred[None] = Deferred()
        for _ in range(2):
            self.oom_killer.watch(
                cgroup, lambda: None if told.called else told.callback(None)
            )
        self.addCleanup(self.oom_killer.unwatch, cgroup)
        self.assertEqual(self.oom_killer.count(cgroup), 0)
        for number in (1, 2):
            await self.fill_memory()
            self.assertEqual(self.oom_killer.count(cgroup), number)
        await told

    async def test_a_vm_that_is_not_watched(self) -> None:
        """Nobody is told of kills in a VM that is not watched any more; they count."""
        self.make_bundle()
        await self.create()
        await self.start()
        cgroup, told = self.state().cgroup, list[str]()
        self.oom_killer.watch(cgroup, lambda: told.append("killed"))
        for _ in range(2):
            self.oom_killer.unwatch(cgroup)
        await self.fill_memory()
        self.assertEqual(self.oom_killer.count(cgroup), 1)
        self.assertEqual(told, [])

    async def test_no_vm(self) -> None:
        """Where there is no VM, none is counted."""
        self.assertIsNone(self.oom_killer.count("/nowhere/vm"))
        self.oom_killer.unwatch("/nowhere/vm")
