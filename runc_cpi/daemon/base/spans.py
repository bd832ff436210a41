"""The spans of one call: which of its steps began when, and how long each took."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter, time
from typing import Any, NamedTuple


class Span(NamedTuple):
    """
    A step of a call.

    @ivar name: what was done, such as C{runc create}.
    @ivar start: when it began, in milliseconds since the call came.
    @ivar ms: how long it took, in milliseconds.
    """

    name: str
    start: float
    ms: float


class Spans:
    """
    The spans of a call, in the order in which they ended.

    Steps that go on side by side overlap, and a step holds those that are parts of it.

    @ivar began: when the call came, in seconds since 1970.
    @param seconds: a clock that never goes back.
    """

    def __init__(self, seconds: Callable[[], float] = perf_counter) -> None:
        self.began = time()
        self._seconds, self._zero = seconds, seconds()
        self._spans: list[Span] = []

    def elapsed(self) -> float:
        """Return how many milliseconds have passed since the call came."""
        return (self._seconds() - self._zero) * 1000

    def add(self, name: str, start: float) -> None:
        """Note a step that ends now and began C{start} milliseconds after the call came."""
        self._spans.append(Span(name, start, self.elapsed() - start))

    @contextmanager
    def taking(self, name: str) -> Iterator[None]:
        """Note a step, whether it succeeds or fails."""
        start = self.elapsed()
        try:
            yield
        finally:
            self.add(name, start)

    def __str__(self) -> str:
        """The spans for people: C{runc create 12.3+40.1} began after 12.3 ms, took 40.1."""
        each = (f"{span.name} {span.start:.1f}+{span.ms:.1f}" for span in self._sorted())
        return ", ".join(each)

    def to_json(self) -> list[dict[str, Any]]:
        """The spans for programs, in the order in which they began."""
        return [
            {"name": span.name, "start": round(span.start, 3), "ms": round(span.ms, 3)}
            for span in self._sorted()
        ]

    def _sorted(self) -> list[Span]:
        # A step ends after its parts, and is told before them.
        ended_last_first = reversed(self._spans)
        return sorted(ended_last_first, key=lambda span: (span.start, -span.ms))
