"""Removes and measures trees of files, and syncs file systems."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.threads import deferToThread
from zope.interface import implementer

from runc_cpi.daemon.base.outcome import Outcome
from runc_cpi.daemon.base.shortage import failed_call, failed_program
from runc_cpi.daemon.host.disks import root_disks
from runc_cpi.daemon.host.disks.tools import Tools
from runc_cpi.daemon.host.files import flags
from runc_cpi.daemon.host.libc import sync_file_system
from runc_cpi.daemon.host.oci import console
from runc_cpi.daemon.host.processes import Lane, Processes
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.interfaces import ITrees
from runc_cpi.errors import CloudError

REMOVE_TIMEOUT = 3600.0  # seconds
SIZE_TIMEOUT = 600.0  # seconds
# Each takes a thread of the reactor's, of which there are ten.
SYNCS = 4


@implementer(ITrees)
class Trees:
    """Acts on trees of files by C{du} and C{rm}, one child process each, and syncfs(2)."""

    def __init__(self, processes: Processes) -> None:
        self._processes, self._tools = processes, Tools(processes)
        self._syncs = DeferredSemaphore(SYNCS)

    async def sync(self, directory: int) -> None:
        """
        Wait until the file system of a directory is on its disk.

        @param directory: a descriptor of it, which may be closed meanwhile.
        @raise CloudError: if the file system cannot be written, or could not since the
            directory was opened; of each failure that is told once.
        """
        # It is the same open file for the kernel, which tells by it what failed.
        own = os.dup(directory)
        try:
            await self._syncs.run(deferToThread, sync_file_system, own)
        except OSError as error:
            text = f"cannot sync the file system: {error.strerror}"
            raise failed_call(error.errno, text) from None
        finally:
            os.close(own)

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
