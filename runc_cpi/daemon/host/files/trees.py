"""Removes and measures trees of files, and syncs file systems, by the host's programs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from twisted.internet.threads import deferToThread
from zope.interface import implementer

from runc_cpi.daemon.base.outcome import Outcome
from runc_cpi.daemon.base.shortage import failed_program
from runc_cpi.daemon.host.disks import root_disks
from runc_cpi.daemon.host.disks.tools import Tools
from runc_cpi.daemon.host.files import flags
from runc_cpi.daemon.host.oci import console
from runc_cpi.daemon.host.processes import Lane, Processes
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.interfaces import ITrees
from runc_cpi.errors import CloudError

SYNC_TIMEOUT = 600.0  # seconds
REMOVE_TIMEOUT = 3600.0  # seconds
SIZE_TIMEOUT = 600.0  # seconds


@implementer(ITrees)
class Trees:
    """Acts on trees of files by C{sync}, C{du} and C{rm}, one child process each."""

    def __init__(self, processes: Processes) -> None:
        self._processes, self._tools = processes, Tools(processes)

    async def sync(self, path: Path) -> None:
        """
        Wait until the file system of C{path} is on its disk.

        @raise CloudError: if the file system cannot be written.
        """
        argv = ["sync", "--file-system", str(path)]
        await self._run(argv, SYNC_TIMEOUT, Lane.BULK)

    async def size(self, path: Path) -> int:
        """
        Return how many bytes a tree takes of its file system.

        @raise CloudError: if it cannot be read.
        """
        argv = ["du", "--summarize", "--block-size=1", "--one-file-system", "--", str(path)]
        outcome = await self._run(argv, SIZE_TIMEOUT, Lane.IDLE, idle=True)
        return int(outcome.stdout.split()[0])

    async def remove(self, path: Path, *, idle: bool = False) -> None:
        """
        Remove a tree, but nothing on other file systems that are mounted in it.

        A VM's directory has its console and its root disk mounted in it: these are
        unmounted first.

        @param idle: whether all else that uses the disk and the processors goes first.
        @raise CloudError: if something of the tree stays.
        """
        await deferToThread(console.close_console, path)
        await root_disks.unmount(self._tools, Bundle(path))
        argv = ["rm", "--recursive", "--force", "--one-file-system", "--", str(path)]
        # Removals are bounded by whoever asks for them, and hold up no other child.
        run = partial(self._run, timeout=REMOVE_TIMEOUT, lane=Lane.IDLE, idle=idle)
        try:
            await run(argv)
        except CloudError:
            # Even root cannot remove what a VM made immutable.
            await run(flags.program(path))
            await run(argv)

    async def _run(
        self, argv: Sequence[str], timeout: float, lane: Lane, *, idle: bool = False
    ) -> Outcome:
        outcome = await self._processes.run(argv, timeout=timeout, lane=lane, idle=idle)
        if not outcome.ok:
            raise failed_program(outcome, outcome.complaint())
        return outcome
