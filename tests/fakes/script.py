"""What the fakes are asked for, and how it ends, in one place."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed


class Script:
    """
    The operations that fakes are asked for, in order, and how each ends.

    @ivar done: the name of each operation.
    @ivar failing: errors by the name of the operation that fails with them.
    @ivar pending: operations that end when the test says so.
    """

    def __init__(self) -> None:
        self.done: list[str] = []
        self.failing: dict[str, Exception] = {}
        self.pending: dict[str, Deferred[None]] = {}

    def act(self, name: str, result: Any = None) -> Deferred[Any]:
        """Note an operation, and end it as scripted."""
        self.done.append(name)
        if name in self.failing:
            return fail(self.failing[name])
        if name in self.pending:
            return self.pending[name].addCallback(lambda _: result)
        return succeed(result)
