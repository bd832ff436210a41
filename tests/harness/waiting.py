"""Waiting for what happens by itself, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
INTERVAL = 0.01


def eventually(probe: Callable[[], T], what: str, timeout: float = 10.0) -> T:
    """
    Call C{probe} until it returns something true, and return that.

    @raise AssertionError: naming C{what}, if it does not come in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(INTERVAL)
