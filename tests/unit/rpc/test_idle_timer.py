"""The timer for a peer whose turn it is."""

from __future__ import annotations

from twisted.internet.task import Clock

from runc_cpi.daemon.rpc.idle_timer import IdleTimer


def test_a_timer_expires_once() -> None:
    """The function is called when the time is over, and not again."""
    clock = Clock()
    calls: list[float] = []
    timer = IdleTimer(clock, lambda: calls.append(clock.seconds()))
    timer.start(5)
    clock.advance(4)
    assert calls == []
    clock.advance(1)
    clock.advance(100)
    assert calls == [5.0]


def test_a_timer_that_is_started_again_counts_from_nothing() -> None:
    """Each start gives the peer the whole time."""
    clock = Clock()
    calls: list[float] = []
    timer = IdleTimer(clock, lambda: calls.append(clock.seconds()))
    timer.start(5)
    clock.advance(4)
    timer.start(5)
    clock.advance(4)
    assert calls == []
    clock.advance(1)
    assert calls == [9.0]


def test_a_timer_that_is_stopped() -> None:
    """A stopped timer leaves nothing with the clock, and may be stopped again."""
    clock = Clock()
    timer = IdleTimer(clock, lambda: None)
    timer.start(5)
    timer.stop()
    timer.stop()
    assert clock.getDelayedCalls() == []
