"""What runs side by side, and what waits for the other."""

from __future__ import annotations

import gc

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.base.concurrency import KeyedLock, side_by_side


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
        """In the order in which they came."""
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
        """Different VMs go side by side."""
        gates = [Deferred[None](), Deferred[None]()]
        works = [self.work("k", "a", gates[0]), self.work("l", "b", gates[1])]
        self.assertEqual(self.log, ["a in", "b in"])
        for gate in gates:
            gate.callback(None)
        for done in works:
            self.successResultOf(done)

    def test_a_failure_lets_the_next_in(self) -> None:
        """And reaches its own caller."""
        first, second = Deferred[None](), Deferred[None]()
        failing, waiting = self.work("k", "a", first), self.work("k", "b", second)
        first.errback(ValueError("x"))
        self.failureResultOf(failing, ValueError)
        self.assertEqual(self.log[-1], "b in")
        second.callback(None)
        self.successResultOf(waiting)

    def test_a_waiter_that_gives_up_leaves_the_lock_sound(self) -> None:
        """Who comes after it is let in all the same."""
        gates = [Deferred[None]() for _ in range(3)]
        works = [self.work("k", name, g) for name, g in zip("abc", gates, strict=True)]
        works[1].cancel()
        self.failureResultOf(works[1])
        gates[0].callback(None)
        self.assertEqual(self.log[-1], "c in")
        gates[2].callback(None)
        self.successResultOf(works[2])

    def test_unused_locks_are_forgotten(self) -> None:
        """A daemon that has seen many VMs does not remember them."""
        gate = Deferred[None]()
        done = self.work("k", "a", gate)
        self.assertEqual(len(self.lock._locks), 1)
        gate.callback(None)
        self.successResultOf(done)
        del done, gate
        gc.collect()
        self.assertEqual(len(self.lock._locks), 0)


class SideBySideTests(SynchronousTestCase):
    """Several things at once, and all of them to their end."""

    def test_all_are_begun_at_once(self) -> None:
        """It is done when the last is."""
        works = [Deferred[None](), Deferred[None]()]
        done = Deferred.fromCoroutine(side_by_side(*works))
        works[1].callback(None)
        self.assertNoResult(done)
        works[0].callback(None)
        self.successResultOf(done)

    def test_a_failure_does_not_stop_the_others(self) -> None:
        """The first error in the order given is raised, when all have ended."""
        works = [Deferred[None]() for _ in range(3)]
        done = Deferred.fromCoroutine(side_by_side(*works))
        works[2].errback(KeyError("later"))
        works[1].errback(ValueError("first"))
        self.assertNoResult(done)
        works[0].callback(None)
        failure = self.failureResultOf(done, ValueError)
        self.assertEqual(str(failure.value), "first")
