"""What runs side by side, and what must not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

from twisted.internet.defer import Deferred, DeferredList, DeferredLock


class KeyedLock:
    """Serializes what is done to one key; a lock nobody wants is forgotten."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, DeferredLock] = WeakValueDictionary()

    @asynccontextmanager
    async def __call__(self, key: str) -> AsyncIterator[None]:
        """Hold the lock of C{key}."""
        lock = self._locks.setdefault(key, DeferredLock())
        await lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def is_held(self, key: str) -> bool:
        """Say whether somebody holds the lock of C{key}."""
        lock = self._locks.get(key)
        return lock is not None and bool(lock.locked)


async def side_by_side(*works: Awaitable[None]) -> None:
    """
    Do several things at once, and wait for all of them, whatever happens.

    @raise Exception: the first error in the order given.
    """
    results: list[tuple[bool, Any]] = await DeferredList(
        [Deferred.fromCoroutine(_started(work)) for work in works], consumeErrors=True
    )
    for succeeded, failure in results:
        if not succeeded:
            failure.raiseException()


async def _started(work: Awaitable[None]) -> None:
    await work
