"""Events of what the daemon does by itself, made of what it logs."""

from __future__ import annotations

from typing import Any

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from twisted.python.threadable import isInIOThread
from zope.interface import implementer

from runc_cpi.daemon.base.log import request_id
from runc_cpi.daemon.base.places import PlaceOf
from runc_cpi.daemon.events.event import DAEMON, FAILED, OK, cids_in, named, told
from runc_cpi.daemon.events.journal import Journal


@implementer(ILogObserver)
class LoggedEvents:
    """
    Makes an event of each line of the log that says what C{happened}, such as C{vm_ended}.

    It has failed if the line is a warning or worse.

    @param reactor: provides C{IReactorFromThreads}.
    @param place_of: tells where VMs and disks belong.
    """

    def __init__(self, reactor: Any, journal: Journal, place_of: PlaceOf) -> None:
        self._reactor, self._journal, self._place_of = reactor, journal, place_of

    def __call__(self, event: LogEvent) -> None:
        """Look at a line of the log."""
        happened = event.get("happened")
        if happened is None:
            return
        values = {
            "method": str(happened),
            "outcome": OK if event["log_level"] <= LogLevel.info else FAILED,
            "request_id": request_id.get(),
            "text": told(formatEvent(event)),
        }
        if isInIOThread():
            self._add(values)
        else:
            self._reactor.callFromThread(self._add, values)

    def _add(self, values: dict[str, str]) -> None:
        cids = cids_in(values["text"])
        place = self._place_of(cids)
        self._journal.add(
            source=DAEMON,
            deployment=named(place.deployment),
            instance=named(place.instance),
            cids=cids,
            seconds=None,
            error="",
            **values,
        )
