"""Notices when a VM ends that nobody stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.vms.interfaces import IFirstProcess


class Watcher:
    """
    Waits for the end of the first process of each running VM.

    @ivar ended: called when a watched VM has ended, with its C{vm_cid} and the wait
        status of its first process, or L{None} if that cannot be told.
    """

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._watched: dict[str, IFirstProcess] = {}
        self.ended: Callable[[str, int | None], None] = lambda vm_cid, status: None

    @property
    def pids(self) -> Mapping[str, int]:
        """The first processes of the VMs that run, by their cids: that takes no look."""
        return {vm_cid: init.pid for vm_cid, init in self._watched.items()}

    def watch(self, vm_cid: str, init: IFirstProcess) -> None:
        """Watch a VM from now on; C{init} is closed at its end, or at L{unwatch}."""
        self.unwatch(vm_cid)
        self._watched[vm_cid] = init
        waiting = self._wait(vm_cid, init)
        self._tasks.start(f"watching {vm_cid}", waiting, awaited=False)

    def unwatch(self, vm_cid: str) -> None:
        """Stop watching a VM: it is about to be taken down."""
        init = self._watched.pop(vm_cid, None)
        if init is not None:
            init.close()

    def close(self) -> None:
        """Stop watching all VMs."""
        for vm_cid in list(self._watched):
            self.unwatch(vm_cid)

    async def _wait(self, vm_cid: str, init: IFirstProcess) -> None:
        if not await init.ended_within(None):
            return  # it is not watched any more
        status = await init.exit_status()
        if self._watched.get(vm_cid) is init:
            self.unwatch(vm_cid)
            self.ended(vm_cid, status)
