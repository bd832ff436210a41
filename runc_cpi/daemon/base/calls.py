"""The call that the running code works for: who asked, what it waits for, its spans."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from runc_cpi.daemon.base.spans import Spans

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[P, Coroutine[Any, Any, T]]

RUNNING = "running"
TURN = "its turn"
TURN_SPAN = "turn"


@dataclass(kw_only=True, eq=False)
class Call:
    """
    A call that is under way.

    @ivar method: what the contract calls it, such as C{create_vm}.
    @ivar request_id: the Director's id of the request, or an empty text.
    @ivar began: when it came, in the reactor's seconds.
    @ivar cids: what it is about, and what it has made.
    @ivar deployment: of the VM or disk that it is about, if that is known.
    @ivar instance: what BOSH calls that VM, if that is known.
    @ivar waits_for: what it waits for now; nothing if it runs.
    @ivar spans: how long its steps take, or L{None} if nobody wants to know.
    """

    method: str
    request_id: str
    began: float
    cids: list[str]
    deployment: str = ""
    instance: str = ""
    waits_for: list[str] = field(default_factory=list)
    spans: Spans | None = None

    @property
    def state(self) -> str:
        """C{running}, or what it waits for, in words."""
        return f"waiting for {self.waits_for[-1]}" if self.waits_for else RUNNING

    def take_turn(self) -> None:
        """Run: it does not wait for its turn any more."""
        self.waits_for.clear()
        if self.spans is not None:
            self.spans.add(TURN_SPAN, 0.0)


current: ContextVar[Call | None] = ContextVar("current", default=None)
"""The call that the running code works for, or L{None}."""


@contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """Note that the current call, if there is one, waits for something meanwhile."""
    call = current.get()
    if call is None:
        yield
        return
    call.waits_for.append(what)
    try:
        with span("lock"):
            yield
    finally:
        call.waits_for.remove(what)


_NO_SPAN = nullcontext()


def span(name: str) -> AbstractContextManager[None]:
    """
    Note how long a step of the current call takes, if somebody wants to know.

    @param name: what is done, such as C{record}.  It reaches the log as it is.
    """
    call = current.get()
    if call is None or call.spans is None:
        return _NO_SPAN
    return call.spans.taking(name)


def spanned(name: str) -> Callable[[Work[P, T]], Work[P, T]]:
    """Have what a coroutine function does be a L{span}: a decorator."""

    def decorate(work: Work[P, T]) -> Work[P, T]:
        @wraps(work)
        async def timed(*args: P.args, **kwargs: P.kwargs) -> T:
            with span(name):
                return await work(*args, **kwargs)

        return timed

    return decorate
