"""Unpacks images: those in a file, and those whose bytes arrive one after another."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from twisted.internet.defer import DeferredSemaphore
from zope.interface import implementer

from runc_cpi.daemon.base.outcome import Outcome
from runc_cpi.daemon.host.images import reading
from runc_cpi.daemon.host.images.pipeline import UNPACK_TIMEOUT, Pipeline, large_pipe
from runc_cpi.daemon.host.images.upload import Upload
from runc_cpi.daemon.host.processes import Child, Processes
from runc_cpi.daemon.stemcells.content import Content
from runc_cpi.daemon.stemcells.interfaces import IArchiver
from runc_cpi.errors import InvalidArgument

# How many files, and how many uploads, are unpacked at once.  Each waits for its sender or
# for a file system most of the time, so there may be more of them than processors.
AT_ONCE = 16
# The file system of an image file must answer each read within so many seconds.
READ_TIMEOUT = 30.0


@implementer(IArchiver)
class Archiver:
    """Unpacks images with the host's own programs."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._files = DeferredSemaphore(AT_ONCE)
        self._uploads = DeferredSemaphore(AT_ONCE)

    def open(self, target: Path) -> Upload:
        """Begin to unpack an image into C{target}; its bytes will be written."""
        return Upload(self._processes, self._uploads, target)

    async def identify(self, image: int, sizes: Collection[int]) -> Content | None:
        """
        Say what the file in the parcel C{image} is, if it has one of these sizes.

        @raise InvalidArgument: if it is no ordinary file, or cannot be read.
        """
        await self._files.acquire()
        try:
            reader = self._read("hash", image, "r", *sizes)
            told = _checked(await reader.ended).stdout
        finally:
            self._files.release()
        return _content(told) if told else None

    async def unpack(self, image: int, target: Path) -> Content:
        """
        Unpack into C{target} the file that is in the parcel C{image}.

        The file is read by another process, because that may hang.

        @return: what the file is.
        @raise InvalidArgument: if it is no ordinary file, or cannot be read.
        @raise CPIError: if it cannot be unpacked.
        """
        await self._files.acquire()
        try:
            reader = self._read("head", image, "r")
            header = _checked(await reader.ended).stdout
            return await self._unpack(image, header, target)
        finally:
            self._files.release()

    async def _unpack(self, image: int, header: bytes, target: Path) -> Content:
        with large_pipe() as (readable, writable):
            pipeline = Pipeline(self._processes, header, readable, target)
            reader = self._read("all", image, writable)
        outcome = await reader.ended
        if not outcome.ok:
            pipeline.kill()
            await pipeline.wait()
        _checked(outcome)
        await pipeline.finish()
        return _content(outcome.stderr)

    def _read(self, what: str, image: int, output: int | str, *sizes: int) -> Child:
        return self._processes.spawn(
            reading.command(what, READ_TIMEOUT, sizes),
            timeout=UNPACK_TIMEOUT,
            child_fds={0: image, 1: output, 2: "r"},
            marked=False,
        )


def _content(told: bytes) -> Content:
    """Return what a process that read a file tells of it."""
    digest, size = told.split()
    return Content(f"sha256:{digest.decode('ascii')}", int(size))


def _checked(outcome: Outcome) -> Outcome:
    """
    Return the outcome of a process that read a file.

    @raise InvalidArgument: if it could not read the file.
    """
    if not outcome.ok:
        complaint = outcome.stderr.decode("utf-8", "replace").strip()
        raise InvalidArgument(complaint or f"the image cannot be read: {outcome.ending}")
    return outcome
