"""A value that takes work to make, and is made once for all who ask within some seconds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import DeferredLock

T = TypeVar("T")


class Remembered(Generic[T]):
    """
    Makes a value, and keeps it for a while.

    However many ask, and however often, it is made no more often than its age allows.

    @param reactor: provides C{IReactorTime}.
    @param seconds: how old it may get.
    @param make: makes it.  What that raises is raised to those who ask, and not kept.
    """

    def __init__(
        self, reactor: Any, seconds: float, make: Callable[[], Awaitable[T]]
    ) -> None:
        self._reactor, self._seconds, self._make = reactor, seconds, make
        self._lock = DeferredLock()
        self._kept: tuple[float, T] | None = None

    async def get(self) -> T:
        """Return the value, which may be some seconds old."""
        async with self._lock:
            if self._kept is not None:
                made, value = self._kept
                if 0 <= self._reactor.seconds() - made < self._seconds:
                    return value
            value = await self._make()
            self._kept = self._reactor.seconds(), value
            return value
