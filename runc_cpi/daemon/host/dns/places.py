"""Bounds of what clients have under way: all of them together, and each."""

from __future__ import annotations

from collections import Counter


class Places:
    """
    So many places there are, and so many of them one client may have.
    """

    def __init__(self, total: int, each: int) -> None:
        self._total, self._each = total, each
        self._taken: Counter[str] = Counter()

    def take(self, client: str) -> bool:
        """Give a client a place, if it can have one; return whether it can."""
        if self._taken.total() >= self._total or self._taken[client] >= self._each:
            return False
        self._taken[client] += 1
        return True

    def free(self, client: str) -> None:
        """Take a place back."""
        self._taken[client] -= 1
        if not self._taken[client]:
            del self._taken[client]
