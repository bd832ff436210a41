"""How it is measured what VMs use: L{IMeter}."""

from __future__ import annotations

from typing import ClassVar

from runc_cpi.daemon.vms.interfaces import IMeter
from runc_cpi.daemon.vms.usage import Usage
from tests.behaviour.case import HostCase
from tests.harness.waiting import eventually

MEBIBYTE = 1 << 20


class Behaviour(HostCase):
    """A VM that runs, and uses something."""

    interfaces = (IMeter,)
    ram: ClassVar[int | None] = 32

    def measured(self) -> Usage:
        """Return what the VM uses."""
        return self.meter.measure([self.state()])[self.bundle.vm_cid]

    async def test_what_runs_is_measured(self) -> None:
        """A VM that runs has a process, and uses no more memory than it may."""
        self.make_bundle()
        await self.create()
        await self.start()
        # The threads of the runtime count until it has become the VM's first process.
        eventually(lambda: self.measured().pids == 1, "there is one process")
        usage = self.measured()
        self.assertEqual(usage.memory_limit, 32 * MEBIBYTE)
        self.assertIsNotNone(usage.memory)
        self.assertTrue(0 < (usage.memory or 0) < 32 * MEBIBYTE)
        self.assertGreater(usage.cpu_seconds or 0, 0)
        self.assertIsNone(usage.disk)

    async def test_no_vm(self) -> None:
        """What has no cgroup is left out."""
        self.assertEqual(dict(self.meter.measure([self.state()])), {})
