"""The call that the running code works for: who asked for it, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

RUNNING = "running"
TURN = "its turn"


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
    """

    method: str
    request_id: str
    began: float
    cids: list[str]
    deployment: str = ""
    instance: str = ""
    waits_for: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """C{running}, or what it waits for, in words."""
        return f"waiting for {self.waits_for[-1]}" if self.waits_for else RUNNING

    def take_turn(self) -> None:
        """Run: it does not wait for its turn any more."""
        self.waits_for.clear()


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
        yield
    finally:
        call.waits_for.remove(what)
