"""Takes a sample of what VMs use, again and again."""

from __future__ import annotations

from typing import Any

from twisted.application.internet import TimerService
from twisted.logger import Logger

from runc_cpi.daemon.status.samples import INTERVAL, Samples
from runc_cpi.daemon.vms.usages import Usages
from runc_cpi.errors import CloudError


class Sampler(TimerService):
    """
    Fills L{Samples} while the daemon runs.

    A measurement that fails leaves a gap; the next one is made all the same.

    @param reactor: provides C{IReactorTime}.
    """

    log = Logger()

    def __init__(self, reactor: Any, usages: Usages, samples: Samples) -> None:
        super().__init__(INTERVAL, self._sample)
        self.clock = self._reactor = reactor
        self._usages, self._samples = usages, samples
        self._is_failing = False

    async def _sample(self) -> None:
        try:
            usages = await self._usages.all()
        except (OSError, CloudError) as error:
            if not self._is_failing:
                self.log.warn("cannot measure VMs: {reason}", reason=str(error))
            self._is_failing = True
            return
        self._is_failing = False
        self._samples.add(self._reactor.seconds(), usages)
