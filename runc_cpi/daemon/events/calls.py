"""The calls that are under way: each becomes an event when it ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from twisted.logger import Logger

from runc_cpi.daemon.base.calls import TURN, Call
from runc_cpi.daemon.base.log import request_id
from runc_cpi.daemon.base.places import NOWHERE, Place, PlaceOf
from runc_cpi.daemon.base.spans import Spans
from runc_cpi.daemon.events.event import CALL, FAILED, OK, all_named, named, told
from runc_cpi.daemon.events.journal import Journal


@dataclass(frozen=True)
class Problem:
    """
    Why a call failed, as its caller was told.

    @ivar error: the class of the error.
    @ivar text: its message.
    """

    error: str
    text: str


class Calls:
    """
    All calls that are under way.

    @param reactor: provides C{IReactorTime}.
    @param place_of: tells where VMs and disks belong.
    @param spans: whether to log how long the steps of each call take.
    """

    log = Logger()

    def __init__(
        self, reactor: Any, journal: Journal, place_of: PlaceOf, *, spans: bool = False
    ) -> None:
        self._reactor, self._journal, self._place_of = reactor, journal, place_of
        self._spans = spans
        self._under_way: dict[Call, None] = {}

    def begin(self, method: str, cids: Iterable[str]) -> Call:
        """
        Note a call that has come, and waits for its turn.

        @param method: what the contract calls it.
        @param cids: what it is about.
        @return: what L{end} takes.
        """
        call = Call(
            method=method,
            request_id=request_id.get(),
            began=self._reactor.seconds(),
            cids=list(all_named(cids)),
            waits_for=[TURN],
            spans=Spans() if self._spans else None,
        )
        self._place(call)
        self._under_way[call] = None
        self.log.info("{method} begins{about}", method=method, about=_about(call))
        return call

    def end(
        self, call: Call, *, made: Iterable[str] = (), problem: Problem | None = None
    ) -> None:
        """
        Note that a call has ended.

        @param made: the ids that it was answered with.
        @param problem: why it failed, or L{None} if it did not.
        """
        del self._under_way[call]
        call.cids = list(all_named([*made, *call.cids]))
        self._place(call)
        seconds = round(self._reactor.seconds() - call.began, 6)
        if problem is None:
            # Why a call fails is logged where that is found out.
            self.log.info(
                "{method} done in {seconds:.3f} s{about}",
                method=call.method,
                seconds=seconds,
                about=_about(call),
            )
        if call.spans is not None:
            self.log.info(
                "spans of {method} in {ms:.1f} ms{about}: {spans}",
                method=call.method,
                ms=call.spans.elapsed(),
                about=_about(call),
                began=call.spans.began,
                spans=call.spans,
            )
        self._journal.add(
            source=CALL,
            method=call.method,
            outcome=OK if problem is None else FAILED,
            request_id=call.request_id,
            deployment=call.deployment,
            instance=call.instance,
            cids=tuple(call.cids),
            seconds=seconds,
            error="" if problem is None else problem.error,
            text="" if problem is None else told(problem.text),
        )

    def all(self) -> list[Call]:
        """Return all that are under way, the oldest first."""
        return list(self._under_way)

    def describe(self, call: Call) -> dict[str, Any]:
        """Return what operators are told of a call that is under way."""
        return {
            "method": call.method,
            "cids": list(call.cids),
            "request_id": call.request_id,
            "deployment": call.deployment,
            "instance": call.instance,
            "seconds": round(self.age(call), 3),
            "state": call.state,
        }

    def age(self, call: Call) -> float:
        """Return for how many seconds a call has been under way."""
        return float(self._reactor.seconds() - call.began)

    def _place(self, call: Call) -> None:
        # A VM that is deleted is known no more when the call ends, a new one not before.
        set_place(call, self._place_of(call.cids))


def set_place(call: Call, place: Place) -> None:
    """Note to which deployment and instance a call belongs, if that is not known yet."""
    if place != NOWHERE and not call.deployment:
        call.deployment = named(place.deployment)
        call.instance = named(place.instance)


def _about(call: Call) -> str:
    return f": {', '.join(call.cids)}" if call.cids else ""
