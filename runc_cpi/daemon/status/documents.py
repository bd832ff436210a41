"""The documents that the page asks for, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import DeferredLock
from twisted.internet.threads import deferToThread

from runc_cpi.daemon.base.places import PlaceOf
from runc_cpi.daemon.base.timestamps import now
from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.doctor.finding import Finding
from runc_cpi.daemon.events.filters import Filters
from runc_cpi.daemon.events.history import History
from runc_cpi.daemon.networks.managed import ManagedNetworks
from runc_cpi.daemon.status.remembered import Remembered
from runc_cpi.daemon.status.samples import Samples, history
from runc_cpi.daemon.status.views import (
    disk_view,
    network_view,
    unreadable_view,
    vm_view,
)
from runc_cpi.daemon.vms.conditions import Condition
from runc_cpi.daemon.vms.usages import Usages
from runc_cpi.daemon.vms.vms import VMs

# To look takes a millisecond a VM, so several pages share what was seen.
OVERVIEW_SECONDS, HISTORY_SECONDS = 1.0, 10.0
FINDINGS_SECONDS = 60.0
MOST_EVENTS, MOST_CALLS = 50, 50


@dataclass(frozen=True, kw_only=True)
class Facts:
    """
    What the page is about.

    @ivar place_of: tells where disks belong.
    @ivar host: looks at what the host has; this blocks.
    @ivar examine: looks whether the host is fit; this blocks.
    """

    vms: VMs
    usages: Usages
    disks: Disks
    networks: ManagedNetworks
    history: History
    place_of: PlaceOf
    host: Callable[[], Mapping[str, Any]]
    examine: Callable[[], Sequence[Finding]]


class Documents:
    """
    Makes the documents.

    What is in memory is read between two turns of the reactor; files are read, and JSON is
    made, in threads.  Calls need these, too: each kind of document takes one at a time.

    @param reactor: provides C{IReactorTime}.
    """

    def __init__(self, reactor: Any, facts: Facts, samples: Samples) -> None:
        self._reactor, self._facts, self._samples = reactor, facts, samples
        self._overview = Remembered(reactor, OVERVIEW_SECONDS, self._make_overview)
        self._history = Remembered(reactor, HISTORY_SECONDS, self._make_history)
        self._reading_events = DeferredLock()
        self._findings = Remembered(reactor, FINDINGS_SECONDS, self._make_findings)

    async def overview(self) -> bytes:
        """
        Return what is there now.

        @raise OSError: if the host cannot be looked at.
        @raise CloudError: if a VM cannot be looked at.
        """
        return await self._overview.get()

    async def history(self) -> bytes:
        """Return what VMs used in the last hour."""
        return await self._history.get()

    async def events(self, filters: Mapping[str, Any]) -> bytes:
        """
        Return the newest events, the newest first.

        @param filters: see L{Filters}.
        @raise InvalidArgument: if a filter is none.
        @raise OSError: if those on disk cannot be read.
        """
        wanted = Filters.parse(dict(filters))
        async with self._reading_events:
            found = await self._facts.history.journal.newest(wanted, MOST_EVENTS)
        told = {"events": [event.to_json() for event in reversed(found)]}
        return await deferToThread(_encoded, told)

    async def _make_overview(self) -> bytes:
        facts, calls = self._facts, self._facts.history.calls
        usages, measured = await facts.usages.all(), self._reactor.seconds()
        states = await facts.vms.conditions.all(usages.keys())
        kills = await facts.vms.oom_kills()
        host, findings = await deferToThread(facts.host), await self._findings.get()
        # Records do not change any more: what is told of VMs is made in the thread, too.
        vms, under_way = facts.vms.all(), calls.all()
        rest = {
            "host": host,
            "time": now(),
            "measured": measured,
            "disks": [
                disk_view(disk, facts.place_of([disk.disk_cid]))
                for disk in facts.disks.all()
            ],
            "networks": [network_view(network) for network in facts.networks.all()],
            "calls": [calls.describe(call) for call in under_way[:MOST_CALLS]],
            "more_calls": max(0, len(under_way) - MOST_CALLS),
            "findings": findings,
        }

        def make() -> bytes:
            views = [
                vm_view(
                    vm,
                    condition=states[vm.vm_cid],
                    oom_kills=kills.get(vm.vm_cid),
                    usage=usages.get(vm.vm_cid),
                )
                for vm in vms
                if vm.vm_cid in states
            ]
            views += [
                unreadable_view(vm_cid)
                for vm_cid, condition in states.items()
                if condition is Condition.SET_ASIDE
            ]
            return _encoded({**rest, "vms": views})

        return await deferToThread(make)

    async def _make_history(self) -> bytes:
        vm_cids = [vm.vm_cid for vm in self._facts.vms.all()]
        samples, moment = self._samples.all, self._reactor.seconds()
        return await deferToThread(lambda: _encoded(history(samples, vm_cids, moment)))

    async def _make_findings(self) -> list[dict[str, Any]]:
        return [each.to_json() for each in await deferToThread(self._facts.examine)]


def _encoded(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("ascii")
