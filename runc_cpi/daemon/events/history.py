"""All that is known of what happens here, put together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import Self

from runc_cpi.daemon.base.places import PlaceOf
from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.events.calls import Calls
from runc_cpi.daemon.events.followers import Followers
from runc_cpi.daemon.events.from_log import LoggedEvents
from runc_cpi.daemon.events.journal import Journal
from runc_cpi.daemon.events.ring import Ring


@dataclass(frozen=True)
class HistoryPolicy:
    """
    How much is kept and told.

    @ivar size: how many bytes of events are kept.
    @ivar followers: how many may wait for events at once.
    @ivar spans: whether the log tells how long the steps of each call take.
    """

    size: int
    followers: int
    spans: bool = False


@dataclass(frozen=True, kw_only=True)
class History:
    """
    What happened, and what goes on.

    @ivar journal: what happened.  Whoever starts the daemon opens it.
    @ivar calls: those that are under way.
    @ivar followers: who waits for events.
    @ivar logged: an observer of the log.
    """

    journal: Journal
    calls: Calls
    followers: Followers
    logged: LoggedEvents

    @classmethod
    def of(
        cls,
        reactor: Any,
        tasks: TaskGroup,
        directory: Path,
        policy: HistoryPolicy,
        place_of: PlaceOf,
    ) -> Self:
        """
        Put the parts together.

        @param reactor: provides C{IReactorTime} and C{IReactorFromThreads}.
        @param directory: where events are kept.
        @param place_of: tells where VMs and disks belong.
        """
        journal = Journal(reactor, tasks, Ring(directory, policy.size))
        return cls(
            journal=journal,
            calls=Calls(reactor, journal, place_of, spans=policy.spans),
            followers=Followers(reactor, journal, policy.followers),
            logged=LoggedEvents(reactor, journal, place_of),
        )
