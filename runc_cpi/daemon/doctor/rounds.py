"""The daemon's own look at its host: at its start, every few minutes, and for who asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.daemon.doctor.examination import QUICK, THOROUGH, Check, examine
from runc_cpi.daemon.doctor.finding import OK, Finding, Patient

INTERVAL = 300.0  # seconds
# After a start VMs boot and calls come, which have the processors first.
PAUSE = 5.0  # seconds


class Rounds:
    """
    Makes all checks of the doctor, and warns of what they find amiss when that is new.

    Those that are quick come before the daemon serves.  The others come after that, again
    and again, in a thread: neither a start nor a call waits for them.

    @param reactor: provides C{IReactorTime}.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        config: DaemonConfig,
        quick: Sequence[Check] = QUICK,
        thorough: Sequence[Check] = THOROUGH,
    ) -> None:
        self._reactor = reactor
        self._patient = Patient(config=config, is_served=True)
        self._quick, self._thorough = tuple(quick), tuple(thorough)
        self._found: Sequence[Finding] = ()
        self._warned: dict[Sequence[Check], set[Finding]] = {}

    async def begin(self) -> None:
        """Make the quick checks."""
        self._warn(self._quick, await deferToThread(self._examine, self._quick))

    async def go_on(self) -> None:
        """Make the thorough checks, soon and then every few minutes, until cancelled."""
        pause = PAUSE
        while True:
            await deferLater(self._reactor, pause)
            self._found = await deferToThread(self._examine, self._thorough)
            self._warn(self._thorough, self._found)
            pause = INTERVAL

    def _examine(self, checks: Iterable[Check]) -> Sequence[Finding]:
        return list(examine(self._patient, checks))

    def _warn(self, checks: Sequence[Check], findings: Iterable[Finding]) -> None:
        amiss = {finding: None for finding in findings if finding.state != OK}
        for finding in amiss:
            if finding not in self._warned.get(checks, ()):
                self.log.warn(
                    "{check}: {seen}; {advice}",
                    check=finding.check,
                    seen=finding.seen,
                    advice=finding.advice,
                )
        self._warned[checks] = set(amiss)

    def findings(self) -> Sequence[Finding]:
        """
        Return what the quick checks find now, and what the others found last.

        This blocks.
        """
        return [*self._found, *self._examine(self._quick)]
