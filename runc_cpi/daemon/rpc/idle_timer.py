"""A timer for the time in which it is the peer's turn to speak or to read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class IdleTimer:
    """
    Calls a function when a peer has done nothing for too long.

    @param clock: has C{callLater}, as a reactor does.
    @param expired: is called once the time is over.
    """

    def __init__(self, clock: Any, expired: Callable[[], object]) -> None:
        self._clock, self._expired = clock, expired
        self._alarm: Any = None

    def start(self, seconds: float) -> None:
        """Begin to count, from nothing if it did before."""
        if self._alarm is None:
            self._alarm = self._clock.callLater(seconds, self._expire)
        else:
            self._alarm.reset(seconds)

    def stop(self) -> None:
        """Count no more; a timer that does not count stays as it is."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _expire(self) -> None:
        self._alarm = None
        self._expired()
