"""The status page, put together: what it is about, and the samples for its charts."""

from __future__ import annotations

from functools import partial
from typing import Any

from runc_cpi.daemon.assembly import Assembly
from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.daemon.doctor.rounds import Rounds
from runc_cpi.daemon.http.answers import Root
from runc_cpi.daemon.status.answers import put
from runc_cpi.daemon.status.documents import Documents, Facts
from runc_cpi.daemon.status.host import host_view
from runc_cpi.daemon.status.sampler import Sampler
from runc_cpi.daemon.status.samples import Samples


class StatusPage(Sampler):
    """
    Takes samples while it runs, and answers whoever looks.

    @param reactor: provides C{IReactorTime}.
    @param rounds: tell how the host is.
    @param root: where the page is put.
    """

    def __init__(
        self,
        reactor: Any,
        config: DaemonConfig,
        parts: Assembly,
        rounds: Rounds,
        root: Root,
    ) -> None:
        samples = Samples()
        super().__init__(reactor, parts.usages, samples)
        facts = Facts(
            vms=parts.vms,
            usages=parts.usages,
            disks=parts.disks,
            networks=parts.networks,
            history=parts.history,
            place_of=parts.place_of,
            host=partial(host_view, config.work_dir),
            examine=rounds.findings,
        )
        put(root, reactor, Documents(reactor, facts, samples))
