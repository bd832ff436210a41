"""An image that is unpacked while its bytes arrive."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, succeed
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from runc_cpi.daemon.host.images.pipeline import Pipeline
from runc_cpi.daemon.host.images.reading import HEADER_SIZE
from runc_cpi.daemon.host.processes import Processes
from runc_cpi.daemon.stemcells.content import Content
from runc_cpi.daemon.stemcells.interfaces import IUpload
from runc_cpi.errors import CloudError


@implementer(IUpload)
class Upload:
    """
    An image whose bytes are written to a L{Pipeline} as they come.

    No process is started before enough bytes are there to tell the format.

    @param slots: one is taken while processes run.
    """

    def __init__(
        self, processes: Processes, slots: DeferredSemaphore, target: Path
    ) -> None:
        self._processes, self._slots, self._target = processes, slots, target
        self._header = b""
        self._hash, self._size = sha256(), 0
        self._pipeline: Pipeline | None = None
        self._flow: _FlowControl | None = None
        self._is_aborted = False

    async def write(self, data: bytes) -> None:
        """
        Unpack the next bytes; return when there is room for more.

        @raise CPIError: what went wrong, as soon as it is known.
        """
        self._hash.update(data)
        self._size += len(data)
        if self._pipeline is None:
            self._header += data
            if len(self._header) < HEADER_SIZE:
                return
            data = await self._start()
        await self._pass_on(data)

    async def finish(self) -> Content:
        """
        Take note that all bytes were written, and wait until all is unpacked.

        @return: what was written.
        @raise CPIError: if it cannot be.
        """
        if self._pipeline is None:
            await self._pass_on(await self._start())
        assert self._pipeline is not None
        stdin = self._pipeline.stdin
        stdin.unregisterProducer()
        stdin.closeStdin()
        await self._pipeline.finish()
        return Content(f"sha256:{self._hash.hexdigest()}", self._size)

    async def abort(self) -> None:
        """Stop unpacking, and wait until no process is left; none is started any more."""
        self._is_aborted = True
        if self._pipeline is not None:
            self._pipeline.kill()
            await self._pipeline.wait()

    async def _start(self) -> bytes:
        """Start the processes, and return the bytes that came before they ran."""
        await self._slots.acquire()
        try:
            if self._is_aborted:
                raise CloudError("the upload was given up before its turn came")
            self._pipeline = Pipeline(self._processes, self._header, "w", self._target)
        except BaseException:
            self._slots.release()
            raise
        ended = Deferred.fromCoroutine(self._pipeline.wait())
        ended.addCallback(lambda _: self._slots.release())
        self._flow = _FlowControl(self._pipeline.stdin)
        return self._header

    async def _pass_on(self, data: bytes) -> None:
        assert self._pipeline is not None
        assert self._flow is not None
        if self._pipeline.has_failed:
            self._pipeline.kill()
            await self._pipeline.finish()
        if not self._pipeline.takes_no_more:
            self._pipeline.stdin.write(data)
            await self._flow.room()


@implementer(IPushProducer)
class _FlowControl:
    """
    Tells writers when a child's stdin has room.

    @param stdin: the child's transport, which is a consumer (C{IConsumer}).
    """

    def __init__(self, stdin: Any) -> None:
        self._full = False
        self._waiting: list[Deferred[None]] = []
        stdin.registerProducer(self, True)

    def room(self) -> Deferred[None]:
        """Return a Deferred that fires when there is room."""
        if not self._full:
            return succeed(None)
        room: Deferred[None] = Deferred()
        self._waiting.append(room)
        return room

    def pauseProducing(self) -> None:
        """Hold writers back; Twisted calls this at each write while the buffer is full."""
        self._full = True

    def resumeProducing(self) -> None:
        """Let all writers go on."""
        self._full, waiting, self._waiting = False, self._waiting, []
        for room in waiting:
            room.callback(None)

    def stopProducing(self) -> None:
        """Let all writers go on: the child closed its stdin, and its outcome says why."""
        self.resumeProducing()
