"""The calls of one connection, of which only some are under way at once."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class CallQueue(Generic[T]):
    """
    Calls in the order in which they came: those that wait, and how many are under way.

    No call begins while the peer does not read its answers (L{hold}).

    @param limit: how many may be under way at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[T] = deque()
        self._under_way = 0
        self._is_held = False

    @property
    def is_empty(self) -> bool:
        """Whether every call has ended."""
        return not self._waiting and self._under_way == 0

    @property
    def is_held(self) -> bool:
        """Whether no call may begin as the peer does not read its answers."""
        return self._is_held

    @property
    def is_full(self) -> bool:
        """Whether one more call would have to wait."""
        return self._is_held or bool(self._waiting) or self._under_way >= self._limit

    def hold(self) -> None:
        """Let no call begin until L{release}."""
        self._is_held = True

    def release(self) -> None:
        """Let calls begin again."""
        self._is_held = False

    def add(self, call: T) -> None:
        """Have a call wait for its turn."""
        self._waiting.append(call)

    def begin(self) -> T | None:
        """
        Begin the call whose turn it is.

        @return: the call, which is under way now, or L{None} if none may begin.
        """
        if not self._waiting or self._is_held or self._under_way >= self._limit:
            return None
        self._under_way += 1
        return self._waiting.popleft()

    def end(self) -> None:
        """Note that a call that was under way has ended."""
        self._under_way -= 1
