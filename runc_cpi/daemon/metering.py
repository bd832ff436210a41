"""Puts together what the metrics are made of, and who serves them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.application.service import MultiService

from runc_cpi.daemon.assembly import Assembly
from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.daemon.config.certificates import named_in
from runc_cpi.daemon.doctor.rounds import Rounds
from runc_cpi.daemon.host.disks import loop_ioctl
from runc_cpi.daemon.host.network import links
from runc_cpi.daemon.http.answers import Root
from runc_cpi.daemon.http.metrics.counting import EventCounts, ReactorLag
from runc_cpi.daemon.http.metrics.gathering import Gathering, Sources
from runc_cpi.daemon.http.metrics.host import HostNumbers
from runc_cpi.daemon.http.metrics.page import Metrics
from runc_cpi.daemon.http.metrics.stemcells import StemcellSizes


class Metering(MultiService):
    """
    Puts C{/metrics} below a root.

    @param programs_waiting: tells how many programs wait to be started.
    @param rounds: tell how the host is.
    """

    def __init__(
        self,
        reactor: Any,
        config: DaemonConfig,
        parts: Assembly,
        programs_waiting: Callable[[], int],
        rounds: Rounds,
        root: Root,
    ) -> None:
        super().__init__()
        lag = ReactorLag(reactor)
        lag.setServiceParent(self)
        journal = parts.history.journal
        sources = Sources(
            vms=parts.vms,
            usages=parts.usages,
            networks=parts.networks,
            disks=parts.disks,
            snapshots=parts.snapshots,
            stemcells=StemcellSizes(parts.stemcells, parts.trees, parts.tasks),
            calls=parts.history.calls,
            counts=EventCounts(journal),
            lag=lag,
            host=_host(reactor, config, rounds),
            queues={
                "threads": reactor.getThreadPool().q.qsize,
                "programs": programs_waiting,
                "events": lambda: journal.unwritten,
            },
        )
        root.putChild(
            b"metrics", Metrics(reactor, Gathering(reactor, parts.tasks, sources))
        )


def _host(reactor: Any, config: DaemonConfig, rounds: Rounds) -> HostNumbers:
    return HostNumbers(
        loop_devices=partial(loop_ioctl.count_below, config.work_dir),
        stuck_removals=links.stuck_removals,
        findings=lambda: (found.state for found in rounds.findings()),
        named_certificates=dict(named_in(config)),
        seconds=reactor.seconds,
    )
