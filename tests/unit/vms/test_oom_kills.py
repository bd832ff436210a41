"""What the log says of VMs in which processes were killed for want of memory."""

from __future__ import annotations

from contextlib import ExitStack

from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, eventAsText
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.vms import oom_kills
from runc_cpi.daemon.vms.oom_kills import INTERVAL, OOMKills
from tests.fakes.vms import FakeOOMKiller


class OOMKillsTests(TestCase):
    """A daemon that looks at once, in no thread."""

    def setUp(self) -> None:
        self.patch(oom_kills, "deferToThread", maybeDeferred)
        self.killer, self.clock = FakeOOMKiller(), Clock()
        self.kills = self.start()
        stack = ExitStack()
        self.addCleanup(stack.close)
        self.events = stack.enter_context(capturedLogs())
        self.seen = 0

    def start(self) -> OOMKills:
        """Start as the daemon does."""
        return OOMKills(
            reactor=self.clock,
            tasks=TaskGroup(self.clock),
            killer=self.killer,
            cgroup_of=lambda vm_cid: f"/c/{vm_cid}",
            name_of=lambda vm_cid: f"{vm_cid} (db/0)",
        )

    def log(self) -> list[str]:
        """Return the lines that were logged since this was asked last."""
        lines = [
            eventAsText(
                event, includeTraceback=False, includeTimestamp=False, includeSystem=False
            )
            for event in self.events[self.seen :]
        ]
        self.seen += len(lines)
        return lines

    async def test_one_line_in_a_while(self) -> None:
        """The first kill is told at once, and later ones in one line after a while."""
        for vm_cid in ("vm-1", "vm-2"):
            self.kills.watch(vm_cid, is_new=True)
        self.killer.kill("/c/vm-1")
        text = (
            "vm-1 (db/0) has too little memory: the kernel has killed {} of its processes"
        )
        self.assertEqual(self.log(), [text.format(1) + " since it booted"])
        for count in (2, 3, 4):
            self.killer.kill("/c/vm-1")
            counts = await self.kills.counts(["vm-1", "vm-2", "vm-3"])
            self.assertEqual(counts, {"vm-1": count, "vm-2": 0})
        self.killer.kill("/c/vm-2")
        self.assertEqual(self.log(), [])
        self.clock.advance(INTERVAL)
        first, second = sorted(self.log())
        self.assertIn("vm-1 (db/0) has too little memory: the kernel has killed 4", first)
        self.assertIn("vm-2 (db/0) has too little memory: the kernel has killed 1", second)
        self.clock.advance(INTERVAL)
        self.assertEqual((self.log(), self.clock.getDelayedCalls()), ([], []))

    async def test_a_kill_that_the_kernel_did_not_tell_of(self) -> None:
        """What a list finds is told as well."""
        self.kills.watch("vm-1", is_new=True)
        self.killer.kills["/c/vm-1"] = 2
        await self.kills.counts(["vm-1"])
        self.assertEqual(len(self.log()), 1)

    def test_after_a_restart(self) -> None:
        """The next daemon says once what was killed before it came, as no new event."""
        self.kills.watch("vm-1", is_new=True)
        self.kills.close()
        self.assertEqual(self.killer.watched, {})
        self.killer.kill("/c/vm-1")
        self.assertEqual(self.log(), [])
        kills = self.start()
        for _ in range(2):
            kills.watch("vm-1", is_new=False)
        self.assertEqual(len(self.log()), 1)
        self.assertIsNone(self.events[-1]["happened"])
        self.killer.kill("/c/vm-1")
        self.clock.advance(INTERVAL)
        self.assertEqual(len(self.log()), 1)
        self.assertEqual(self.events[-1]["happened"], "oom_kill")

    def test_a_kill_right_after_a_boot(self) -> None:
        """What is killed before the first look at a new VM is an event."""
        self.killer.kill("/c/vm-1")
        self.kills.watch("vm-1", is_new=True)
        self.assertEqual([each["happened"] for each in self.events], ["oom_kill"])

    async def test_a_reboot(self) -> None:
        """A kill just before a VM is taken down is told; then it is counted anew."""
        self.kills.watch("vm-1", is_new=True)
        for _ in range(2):
            self.killer.kill("/c/vm-1")
        await self.kills.unwatch("vm-1")
        self.assertEqual(len(self.log()), 2)
        self.assertEqual(self.killer.watched, {})
        self.killer.kills["/c/vm-1"] = 0
        self.kills.watch("vm-1", is_new=True)
        self.clock.advance(INTERVAL)
        self.assertEqual(self.log(), [])
        self.killer.kill("/c/vm-1")
        (line,) = self.log()
        self.assertIn("killed 1", line)

    async def test_a_host_that_does_not_tell(self) -> None:
        """Where the kernel has no more watches to give, that is said, and no error."""

        def refuse(*_: object) -> None:
            raise OSError(28, "No space left on device")

        self.patch(self.killer, "watch", refuse)
        self.kills.watch("vm-1", is_new=True)
        (line,) = self.log()
        self.assertIn("is not noticed: [Errno 28] No space left on device", line)
        self.assertEqual(await self.kills.counts(["vm-1"]), {})
