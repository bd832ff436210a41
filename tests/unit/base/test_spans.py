"""Spans: they are noted for the call that the code works for, if somebody wants them."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.base.calls import Call, current, span, spanned
from runc_cpi.daemon.base.concurrency import side_by_side
from runc_cpi.daemon.base.locks import KeyedLock, unlocked_context
from runc_cpi.daemon.base.spans import Spans


class SpansTestCase(SynchronousTestCase):
    """A call whose clock stands still unless it is turned."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.spans = Spans(self.clock.seconds)
        call = Call(method="m", request_id="", began=0.0, cids=[], spans=self.spans)
        self.addCleanup(current.reset, current.set(call))

    def noted(self) -> list[tuple[Any, ...]]:
        """Return the spans, the earliest first."""
        return [tuple(each.values()) for each in self.spans.to_json()]

    def test_spans_of_coroutines(self) -> None:
        """Steps overlap, one holds its parts, and one that fails has an end."""
        waits = [Deferred[None](), Deferred[None]()]

        @spanned("network")
        async def network() -> None:
            with span("rules"):
                await waits[0]

        async def files() -> None:
            with span("files"):
                await waits[1]

        both = Deferred.fromCoroutine(side_by_side(network(), files()))
        self.clock.advance(0.25)
        waits[0].callback(None)
        self.clock.advance(0.25)
        waits[1].errback(OSError("full"))
        self.failureResultOf(both, OSError)
        self.assertEqual(
            self.noted(), [("files", 0, 500), ("network", 0, 250), ("rules", 0, 250)]
        )

    def test_a_lock(self) -> None:
        """That a call waits for a lock is a span, without what it does then."""
        lock, until = KeyedLock(), Deferred[None]()

        async def hold() -> None:
            async with lock("vm-1"):
                await until

        unlocked_context().run(Deferred.fromCoroutine, hold())
        self.assertEqual(self.noted(), [])
        Deferred.fromCoroutine(hold())
        self.clock.advance(1)
        until.callback(None)
        self.assertEqual(self.noted(), [("lock", 0, 1000)])

    def test_background_work(self) -> None:
        """Work that no call waits for is no step of the one that began it."""

        async def work() -> None:
            with span("work"):
                pass

        unlocked_context().run(Deferred.fromCoroutine, work())
        self.assertEqual(self.noted(), [])

    def test_text(self) -> None:
        """People read when each began and how long it took, the whole before its parts."""
        with self.spans.taking("files"):
            with self.spans.taking("loop device"):
                self.clock.advance(0.0125)
            self.clock.advance(0.1)
        self.assertEqual(str(self.spans), "files 0.0+112.5, loop device 0.0+12.5")


@pytest.mark.parametrize("spans", [None, "no call"])
def test_nothing_is_noted(spans: str | None) -> None:
    """Without a call, or if nobody wants to know, a span does nothing."""
    call = Call(method="m", request_id="", began=0.0, cids=[])
    token = current.set(None if spans else call)
    try:
        assert span("record") is span("rules")
        with span("record"):
            assert call.spans is None
    finally:
        current.reset(token)
