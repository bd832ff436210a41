"""Several things at once."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList


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
