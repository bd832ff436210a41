"""Numbers of the work that is under way, and of what waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from runc_cpi import __version__
from runc_cpi.daemon.base.calls import RUNNING
from runc_cpi.daemon.events.calls import Calls
from runc_cpi.daemon.http.metrics import catalogue as of
from runc_cpi.daemon.http.metrics.samples import Sample

WAITING = "waiting"


def samples(calls: Calls, queues: Mapping[str, Callable[[], int]]) -> Iterator[Sample]:
    """
    Return what is going on.

    @param queues: tell how long they are, by their names.
    """
    yield Sample(of.BUILD_INFO, (__version__,), 1)
    under_way = calls.all()
    running = sum(call.state == RUNNING for call in under_way)
    yield Sample(of.CALLS, (RUNNING,), running)
    yield Sample(of.CALLS, (WAITING,), len(under_way) - running)
    for name, length in queues.items():
        yield Sample(of.QUEUE, (name,), length())
