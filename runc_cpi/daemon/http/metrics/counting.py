"""What is counted as it happens: calls, events, and how late the event loop is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from twisted.application.service import Service

from runc_cpi.daemon.events.event import CALL, Event
from runc_cpi.daemon.events.journal import Journal
from runc_cpi.daemon.http.metrics.catalogue import CALL_SECONDS, EVENTS, LAG
from runc_cpi.daemon.http.metrics.samples import Distribution, Histogram, Sample

# Seconds.  A call with nothing to do takes a millisecond, a stemcell can take minutes.
CALL_BOUNDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
LAG_INTERVAL = 1.0  # seconds


class EventCounts:
    """
    Calls by how long they took, and how often something else happened.

    @param journal: tells of them.
    """

    def __init__(self, journal: Journal) -> None:
        self._calls = Histogram(CALL_SECONDS, CALL_BOUNDS)
        # Prometheus sees no increase to a first value.
        self._events: Counter[str] = Counter({"vm_ended": 0, "oom_kill": 0})
        journal.listen(self._count)

    def _count(self, event: Event) -> None:
        if event.source == CALL:
            self._calls.observe(event.seconds or 0.0, event.method, event.outcome)
        else:
            self._events[event.method] += 1

    def read(self) -> Iterator[Sample | Distribution]:
        """Return what was counted since the daemon started."""
        yield from self._calls.read()
        for name, count in self._events.items():
            yield Sample(EVENTS, (name,), count)


class ReactorLag(Service):
    """
    Looks how late the event loop is: calls wait as long as that.

    @param reactor: provides C{IReactorTime}.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._lags = Histogram(LAG, LAG_BOUNDS)
        self._due = 0.0
        self._next: Any = None

    def startService(self) -> None:
        """Begin to look."""
        super().startService()
        self._wait()

    def stopService(self) -> None:
        """Look no more."""
        super().stopService()
        if self._next is not None and self._next.active():
            self._next.cancel()

    def _wait(self) -> None:
        self._due = self._reactor.seconds() + LAG_INTERVAL
        self._next = self._reactor.callLater(LAG_INTERVAL, self._look)

    def _look(self) -> None:
        self._lags.observe(max(0.0, self._reactor.seconds() - self._due))
        self._wait()

    def read(self) -> Iterator[Distribution]:
        """Return what was seen since the daemon started."""
        yield from self._lags.read()
