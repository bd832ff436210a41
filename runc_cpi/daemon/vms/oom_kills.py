"""Tells the operator of VMs in which the kernel ended processes for want of memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.vms.interfaces import IOOMKiller

# A VM whose processes are killed again and again has one line in the log in that time.
INTERVAL = 10.0  # seconds


class OOMKills:
    """
    How many processes of each VM were killed since it booted.

    The kernel keeps the counts, so they outlive the daemon.  The next one says again what
    it finds, which is no new event.

    @param reactor: provides C{IReactorTime}.
    @param cgroup_of: returns the path of a VM's cgroup.
    @param name_of: returns a VM's name for the log.
    """

    log = Logger()

    def __init__(
        self,
        *,
        reactor: Any,
        tasks: TaskGroup,
        killer: IOOMKiller,
        cgroup_of: Callable[[str], str],
        name_of: Callable[[str], str],
    ) -> None:
        self._reactor, self._tasks, self._killer = reactor, tasks, killer
        self._cgroup_of, self._name_of = cgroup_of, name_of
        self._told: dict[str, int] = {}
        self._due: set[str] = set()
        self._found: set[str] = set()
        self._is_looking = False

    def watch(self, vm_cid: str, *, is_new: bool) -> None:
        """
        Tell of a VM that runs, from now on, and of what happened to it before.

        @param is_new: whether it has just been booted, so that all happens from now on.
        """
        if not is_new and vm_cid not in self._told:
            self._found.add(vm_cid)
        try:
            self._killer.watch(self._cgroup_of(vm_cid), partial(self._look_at, vm_cid))
        except OSError as error:
            self.log.warn(
                "what is killed in {vm_cid} for want of memory is not noticed: {reason}",
                vm_cid=vm_cid,
                reason=str(error),
            )
        self._look_at(vm_cid)

    async def unwatch(self, vm_cid: str) -> None:
        """Have a last look at a VM that is about to be taken down."""
        self._killer.unwatch(self._cgroup_of(vm_cid))
        if vm_cid in self._told:
            await self._look_and_tell([vm_cid])
        self._told.pop(vm_cid, None)
        self._due.discard(vm_cid)
        self._found.discard(vm_cid)

    def close(self) -> None:
        """Let go of all VMs."""
        for vm_cid in list(self._told):
            self._killer.unwatch(self._cgroup_of(vm_cid))

    def known(self) -> dict[str, int]:
        """Return how many there are of each VM that is watched, ten seconds old at most."""
        return dict(self._told)

    async def counts(self, vm_cids: Collection[str]) -> dict[str, int]:
        """Return how many there are of each VM, if that can be known."""
        found = await deferToThread(self._count, vm_cids)
        for vm_cid, count in found.items():
            if self._is_news(vm_cid, count):
                self._look_at(vm_cid)
        return found

    def _count(self, vm_cids: Iterable[str]) -> dict[str, int]:
        counts = {cid: self._killer.count(self._cgroup_of(cid)) for cid in vm_cids}
        return {cid: count for cid, count in counts.items() if count is not None}

    def _look_at(self, vm_cid: str) -> None:
        """Look soon how many there are of a VM; the kernel is asked in a thread."""
        self._told.setdefault(vm_cid, 0)
        self._due.add(vm_cid)
        if not self._is_looking:
            self._is_looking = True
            self._tasks.start("looking for what was killed", self._look(), awaited=False)

    async def _look(self) -> None:
        try:
            while self._due:
                due, self._due = self._due, set()
                if await self._look_and_tell(due):
                    await deferLater(self._reactor, INTERVAL)
        finally:
            self._is_looking = False

    async def _look_and_tell(self, vm_cids: Collection[str]) -> bool:
        """Log the counts that grew, a line each, and say whether there are any."""
        found = await deferToThread(self._count, vm_cids)
        news = {cid: count for cid, count in found.items() if self._is_news(cid, count)}
        for vm_cid, count in news.items():
            self._told[vm_cid] = count
            self.log.warn(
                "{vm} has too little memory: the kernel has killed {count} of its "
                "processes since it booted",
                vm=self._name_of(vm_cid),
                count=count,
                # Who booted the VM may have told of these.
                happened=None if vm_cid in self._found else "oom_kill",
            )
        self._found.difference_update(found)
        return bool(news)

    def _is_news(self, vm_cid: str, count: int) -> bool:
        told = self._told.get(vm_cid)
        return told is not None and count > told
