"""Programs that work on disks, and what their failures mean."""

from __future__ import annotations

from collections.abc import Sequence

from runc_cpi.daemon.base.outcome import Outcome
from runc_cpi.daemon.base.shortage import failed_program
from runc_cpi.daemon.host.disks.filesystems import Command
from runc_cpi.daemon.host.processes import Lane, Processes
from runc_cpi.errors import NoDiskSpace

TOOL_TIMEOUT = 600.0  # seconds
COPY_TIMEOUT = 3600.0  # seconds


class Tools:
    """Runs programs that make, change and copy disks."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    async def make(self, command: Command) -> None:
        """
        Make something new, which nobody misses if the daemon ends.

        @raise NoDiskSpace: if the host's file system is full.
        @raise CloudError: if it fails for another reason.
        """
        outcome = await self._processes.run(command.argv, timeout=TOOL_TIMEOUT)
        check(outcome, command.good)

    async def change(self, command: Command, *, lane: Lane = Lane.BULK) -> None:
        """
        Change a file system that has data in it; this goes on if the daemon ends.

        @param lane: which other programs it may have to wait for.
        @raise NoDiskSpace: if the host's file system is full.
        @raise CloudError: if it fails for another reason.
        """
        outcome = await self._processes.run(
            command.argv, timeout=TOOL_TIMEOUT, lane=lane, dies_with_us=False
        )
        check(outcome, command.good)

    async def copy(self, argv: Sequence[str]) -> Outcome:
        """
        Run a program that copies a disk.

        @raise CloudError: if there is no such program.
        """
        return await self._processes.run(argv, timeout=COPY_TIMEOUT, lane=Lane.BULK)

    async def copy_mounted(
        self, argv: Sequence[str], mount: int, seconds: float
    ) -> Outcome:
        """
        Run a program that copies a disk which a VM has mounted, and tidies up.

        @param mount: open on the file system; the program has it as descriptor 3.
        @param seconds: after how long it is killed.
        @raise CloudError: if there is no such program.
        """
        return await self._processes.run(
            argv, timeout=seconds, lane=Lane.BULK, inherit={3: mount}, dies_with_us=False
        )


def check(outcome: Outcome, good: Sequence[int] = (0,)) -> None:
    """
    @param good: the exit statuses that mean success.
    @raise NoDiskSpace: if a program found the host's file system full.
    @raise CloudError: if it failed for another reason.
    """
    if outcome.status not in good:
        if b"No space left on device" in outcome.stderr:
            raise NoDiskSpace(outcome.complaint())
        raise failed_program(outcome, outcome.complaint())
