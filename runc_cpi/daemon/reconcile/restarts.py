"""What happens when a VM ends by itself."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.base.timestamps import now
from runc_cpi.daemon.reconcile.down_vms import DownVMs
from runc_cpi.daemon.vms.end import End
from runc_cpi.daemon.vms.registry import Registry

FIRST_PAUSE = 1.0  # seconds
LONGEST_PAUSE = 60.0  # seconds
# A VM that ran for so long did not fail because of how it was booted.
STEADY_SECONDS = 600.0


class Restarts:
    """
    Boots VMs again that failed, after a pause; of others it is noted that they stay down.

    @param reactor: provides C{IReactorTime}.
    @param restart: whether VMs are booted again at all.
    """

    log = Logger()

    def __init__(
        self,
        *,
        reactor: Any,
        registry: Registry,
        down_vms: DownVMs,
        tasks: TaskGroup,
        restart: bool,
    ) -> None:
        self._reactor, self._registry = reactor, registry
        self._down_vms, self._tasks, self._restart = down_vms, tasks, restart
        # How many times in a row each VM failed, and when it did last.
        self._failures: dict[str, tuple[int, float]] = {}

    def vm_ended(self, vm_cid: str, status: int | None) -> None:
        """
        Take note of a VM's end that nobody asked for.

        @param status: as wait(2) has it, or L{None} if it cannot be told.
        """
        end = End.of(now(), status)
        text = "the first process of {vm_cid} {how}"
        self.log.warn(text, vm_cid=vm_cid, how=str(end), happened="vm_ended")
        returns = self._restart and end.is_failure
        if returns:
            name = f"the pause before {vm_cid} is booted again"
            self._tasks.start(name, self._boot_later(vm_cid), awaited=False)
        noting = self._down_vms.note_end(vm_cid, end, stays=not returns)
        self._tasks.start(f"noting that {vm_cid} has ended", noting)

    async def _boot_later(self, vm_cid: str) -> None:
        pause = self._pause_of(vm_cid)
        self.log.info("booting {vm_cid} in {pause:g} s", vm_cid=vm_cid, pause=pause)
        try:
            await deferLater(self._reactor, pause)
        except CancelledError:
            self.log.warn("{vm_cid} was not booted again before the stop", vm_cid=vm_cid)
            raise
        await self._down_vms.bring_back(vm_cid, Repairs())

    def _pause_of(self, vm_cid: str) -> float:
        """Return after how many seconds to boot a VM: longer each time in a row."""
        moment = self._reactor.seconds()
        for other in list(self._failures):
            if self._registry.find(other) is None:
                del self._failures[other]
        count, last = self._failures.get(vm_cid, (0, moment))
        count = 0 if moment - last > STEADY_SECONDS else count
        self._failures[vm_cid] = (count + 1, moment)
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**count)
