"""Gathers all metrics when somebody asks, once for all who ask at about the same time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.disks.snapshots import Snapshots
from runc_cpi.daemon.events.calls import Calls
from runc_cpi.daemon.http.metrics import stores, vms, work
from runc_cpi.daemon.http.metrics.catalogue import COLLECTION
from runc_cpi.daemon.http.metrics.counting import EventCounts, ReactorLag
from runc_cpi.daemon.http.metrics.exposition import text_of
from runc_cpi.daemon.http.metrics.host import HostNumbers
from runc_cpi.daemon.http.metrics.samples import Distribution, Sample
from runc_cpi.daemon.http.metrics.stemcells import StemcellSizes
from runc_cpi.daemon.networks.managed import ManagedNetworks
from runc_cpi.daemon.vms.usages import Usages
from runc_cpi.daemon.vms.vms import VMs

# However often somebody scrapes, to gather takes no more than this part of the time: calls
# that come meanwhile wait for the interpreter.  With 200 VMs that is each 10 seconds.
SHARE = 1 / 200
FRESH_SECONDS, LONGEST = 1.0, 10.0


@dataclass(frozen=True, kw_only=True)
class Sources:
    """
    Who knows the numbers.

    @ivar queues: tell how long they are, by their names.
    """

    vms: VMs
    usages: Usages
    networks: ManagedNetworks
    disks: Disks
    snapshots: Snapshots
    stemcells: StemcellSizes
    calls: Calls
    counts: EventCounts
    lag: ReactorLag
    host: HostNumbers
    queues: Mapping[str, Callable[[], int]]


class Gathering:
    """
    The text of all metrics.

    What is in memory is read in the reactor, which takes a moment.  All else, and the
    making of the text, is done in a thread.

    @param reactor: provides C{IReactorTime}.
    @param tasks: the gathering is one of these: whoever asks can go away meanwhile.
    """

    def __init__(self, reactor: Any, tasks: TaskGroup, sources: Sources) -> None:
        self._reactor, self._tasks, self._sources = reactor, tasks, sources
        self._text, self._fresh_until = b"", reactor.seconds()
        self._waiters: list[Deferred[bytes]] = []

    async def text(self) -> bytes:
        """Return the text, which is L{LONGEST} seconds old at most."""
        if self._text and self._reactor.seconds() < self._fresh_until:
            return self._text
        waiter: Deferred[bytes] = Deferred()
        self._waiters.append(waiter)
        if len(self._waiters) == 1:
            self._tasks.start("gathering metrics", self._gather(), awaited=False)
        return await waiter

    async def _gather(self) -> None:
        result: bytes | Failure
        began = self._reactor.seconds()
        try:
            result = self._text = await self._make(began)
            ended = self._reactor.seconds()
            pause = (ended - began) / SHARE
            self._fresh_until = ended + min(LONGEST, max(FRESH_SECONDS, pause))
        except Exception:
            result = Failure()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.called:
                waiter.callback(result)

    async def _make(self, began: float) -> bytes:
        sources = self._sources
        usages = await sources.usages.all()
        found: list[Sample | Distribution] = [
            *work.samples(sources.calls, sources.queues),
            *sources.counts.read(),
            *sources.lag.read(),
            *sources.stemcells.read(),
            *stores.of_networks(sources.networks.all()),
            *stores.of_disks(sources.disks, sources.snapshots),
        ]
        return await deferToThread(
            self._write,
            began,
            found,
            sources.vms.all(),
            usages,
            sources.vms.known_oom_kills(),
            await sources.vms.conditions.all(usages.keys()),
        )

    def _write(
        self, began: float, found: list[Sample | Distribution], all_vms: Any, *used: Any
    ) -> bytes:
        """Do the rest, in a thread."""
        rest = chain(
            vms.samples(all_vms, *used),
            stores.of_room(self._sources.disks),
            self._sources.host.read(),
        )
        values = [*found, *rest]
        values.append(Sample(COLLECTION, (), self._reactor.seconds() - began))
        return text_of(values)
