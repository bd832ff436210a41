"""Cleaning up after something that failed, or that is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.logger import Logger

log = Logger()


async def quietly(undo: Callable[..., Awaitable[object]], *args: Any) -> None:
    """Clean up; a failure is logged, and never hides the first error."""
    try:
        await undo(*args)
    except Exception:
        what = " ".join(map(str, (undo.__name__, *args)))
        log.failure("could not clean up: {what}", what=what)
