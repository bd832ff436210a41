"""Locks: who waits for whom, and in which order locks are taken."""

from __future__ import annotations

import gc
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.base.concurrency import side_by_side
from runc_cpi.daemon.base.locks import KeyedLock, LockOrderError, Locks
from runc_cpi.daemon.base.tasks import TaskGroup


class KeyedLockTests(SynchronousTestCase):
    """One lock for each key."""

    def setUp(self) -> None:
        self.lock = KeyedLock()
        self.log: list[str] = []

    def work(self, key: str, name: str, until: Deferred[None]) -> Deferred[None]:
        """Hold the lock of C{key} until C{until} fires."""

        async def hold() -> None:
            async with self.lock(key):
                self.log.append(f"{name} in")
                try:
                    await until
                finally:
                    self.log.append(f"{name} out")

        return Deferred.fromCoroutine(hold())

    def test_one_after_the_other(self) -> None:
        """Who asks for the same lock gets it in turn."""
        gates = [Deferred[None]() for _ in range(3)]
        works = [self.work("k", name, g) for name, g in zip("abc", gates, strict=True)]
        for gate in reversed(gates[1:]):
            gate.callback(None)
        self.assertEqual(self.log, ["a in"])
        gates[0].callback(None)
        for done in works:
            self.successResultOf(done)
        self.assertEqual(self.log, [f"{n} {w}" for n in "abc" for w in ("in", "out")])

    def test_other_keys_do_not_wait(self) -> None:
        """Who asks for the lock of another key does not wait."""
        gates = [Deferred[None](), Deferred[None]()]
        works = [self.work("k", "a", gates[0]), self.work("l", "b", gates[1])]
        self.assertEqual(self.log, ["a in", "b in"])
        for gate in gates:
            gate.callback(None)
        for done in works:
            self.successResultOf(done)

    def test_a_failure_lets_the_next_in(self) -> None:
        """Work that fails lets the next in, and its own caller sees the error."""
        first, second = Deferred[None](), Deferred[None]()
        failing, waiting = self.work("k", "a", first), self.work("k", "b", second)
        first.errback(ValueError("x"))
        self.failureResultOf(failing, ValueError)
        self.assertEqual(self.log[-1], "b in")
        second.callback(None)
        self.successResultOf(waiting)

    def test_a_waiter_that_gives_up_leaves_the_lock_sound(self) -> None:
        """A waiter can be cancelled; those who come after it get the lock all the same."""
        gates = [Deferred[None]() for _ in range(3)]
        works = [self.work("k", name, g) for name, g in zip("abc", gates, strict=True)]
        works[1].cancel()
        self.failureResultOf(works[1])
        gates[0].callback(None)
        self.assertEqual(self.log[-1], "c in")
        gates[2].callback(None)
        self.successResultOf(works[2])

    def test_unused_locks_are_forgotten(self) -> None:
        """A lock that nobody holds takes no memory."""
        gate = Deferred[None]()
        done = self.work("k", "a", gate)
        self.assertEqual(len(self.lock._locks), 1)
        gate.callback(None)
        self.successResultOf(done)
        del done, gate
        gc.collect()
        self.assertEqual(len(self.lock._locks), 0)


class LocksTests(SynchronousTestCase):
    """The locks of VMs and disks."""

    def setUp(self) -> None:
        self.locks = Locks()

    async def work(self, until: Deferred[None]) -> None:
        """Hold the locks of a VM and of a disk, in this order, until C{until} fires."""
        async with self.locks.vm("vm-1"), self.locks.disk("disk-1"):
            await until

    def test_a_vm_comes_before_its_disk(self) -> None:
        """Who holds a VM may take a disk, and then another one, and then another VM."""

        async def work() -> None:
            await self.work(succeed(None))
            async with self.locks.vm("vm-1"):
                for disk_cid in ("disk-1", "disk-2"):
                    async with self.locks.disk(disk_cid):
                        pass
            async with self.locks.vm("vm-2"):
                pass

        self.successResultOf(Deferred.fromCoroutine(work()))

    def test_other_orders_are_refused(self) -> None:
        """Who holds a disk gets no VM, and nobody gets two of a kind, nor one twice."""
        vm, disk = self.locks.vm, self.locks.disk
        for first, second in (
            (disk("disk-1"), vm("vm-1")),
            (vm("vm-1"), vm("vm-2")),
            (vm("vm-1"), vm("vm-1")),
            (disk("disk-1"), disk("disk-2")),
        ):

            async def work(first: Any = first, second: Any = second) -> None:
                async with first, second:
                    raise AssertionError("both are held")

            self.failureResultOf(Deferred.fromCoroutine(work()), LockOrderError)
        self.assertFalse(vm.is_held("vm-1") or disk.is_held("disk-1"))

    def test_an_order_is_refused_in_plain_words(self) -> None:
        """The error names both locks."""

        async def work() -> None:
            async with self.locks.disk("disk-1"), self.locks.vm("vm-1"):
                raise AssertionError("both are held")

        failure = self.failureResultOf(Deferred.fromCoroutine(work()), LockOrderError)
        self.assertRegex(str(failure.value), "lock of vm-1 .* disk-1 is held")

    def test_others_may_hold_what_they_like(self) -> None:
        """The order is each caller's own: what others hold meanwhile does not count."""
        gate = Deferred[None]()
        holding = Deferred.fromCoroutine(self.work(gate))
        waiting = Deferred.fromCoroutine(self.work(succeed(None)))
        self.assertNoResult(waiting)
        gate.callback(None)
        self.successResultOf(holding)
        self.successResultOf(waiting)

    def test_work_in_parallel_counts_for_who_waits_for_it(self) -> None:
        """A part that runs side by side with others must not take what its caller holds."""

        async def work() -> None:
            async with self.locks.vm("vm-1"):
                await side_by_side(self.work(succeed(None)))

        self.failureResultOf(Deferred.fromCoroutine(work()), LockOrderError)

    def test_background_work_holds_nothing(self) -> None:
        """A task that is started under a lock may ask for it: nobody waits for the task."""
        tasks = TaskGroup(Clock())
        started: list[Deferred[None]] = []

        async def work() -> None:
            async with self.locks.vm("vm-1"):
                started.append(tasks.start("b", self.work(succeed(None))))
                self.assertNoResult(started[0])

        self.successResultOf(Deferred.fromCoroutine(work()))
        self.successResultOf(started[0])
