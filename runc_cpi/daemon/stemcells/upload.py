"""Stemcells that are made of bytes as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import DeferredLock

from runc_cpi.daemon.base.calls import span
from runc_cpi.daemon.stemcells.content import Content
from runc_cpi.daemon.stemcells.interfaces import IUpload
from runc_cpi.daemon.stemcells.making import StemcellMaker, checked, made_rootfs
from runc_cpi.daemon.stemcells.stemcell import Stemcell
from runc_cpi.errors import CloudError, CPIError, InvalidArgument, StemcellRejected


class _Unpacking(NamedTuple):
    """
    What an upload begins with its first bytes.

    @ivar new: the directory in scratch that it is unpacked in.
    """

    new: Path
    upload: IUpload


class StemcellUpload:
    """
    A stemcell that is made of bytes as they come.

    It appears when L{finish} succeeds.  After any error the caller calls L{abort}.

    Bytes are taken in the order in which L{write} is called, also if it is called again
    before it returned.  What is called after the end is refused, also if it was called
    before the end and had to wait for its turn.

    @ivar is_made: whether it has become a stemcell.
    @raise InvalidArgument: if C{cloud_properties} is no object.
    """

    def __init__(self, maker: StemcellMaker, cloud_properties: Any) -> None:
        self._maker, self._cloud_properties = maker, checked(cloud_properties)
        self._unpacking: _Unpacking | None = None
        self._named: Content | None = None
        self._turns = DeferredLock()
        self._step = ExitStack()
        # Why nothing is taken any more.
        self._end: CPIError | None = None
        self.is_made = False

    async def name(self, image: Content) -> Stemcell | None:
        """
        Make the stemcell if its image is unpacked; if not, bytes must follow that are it.

        @return: the stemcell, or L{None} if the bytes are needed.
        @raise InvalidArgument: if bytes have come.
        @raise CloudError: if what is unpacked is damaged, and VMs run on it.
        """
        async with self._turn():
            if self._unpacking is not None:
                raise InvalidArgument("digest: it must come before the image's bytes")
            self._named = image
            stemcell = await self._maker.from_unpacked(image, self._cloud_properties)
            if stemcell is not None:
                self._note_made()
            return stemcell

    async def write(self, data: bytes) -> None:
        """
        Unpack the next bytes; return when there is room for more.

        @raise CPIError: what is wrong with the image, as soon as that is known.
        """
        async with self._turn():
            unpacking = self._unpacking
            if unpacking is None:
                unpacking = await self._begin()
                await self._maker.scratch.make_room()
                self._go_on()
            await unpacking.upload.write(data)

    async def _begin(self) -> _Unpacking:
        new = self._maker.scratch.new()
        try:
            upload = self._maker.archiver.open(made_rootfs(new))
            self._maker.scratch.begin_sync(new)
        except BaseException:
            await self._maker.scratch.discard(new)
            raise
        self._step.enter_context(span("unpack"))
        self._unpacking = _Unpacking(new, upload)
        return self._unpacking

    async def finish(self) -> Stemcell:
        """
        Take note that all bytes were written, and make the stemcell.

        @raise CPIError: what is wrong with the image.
        """
        async with self._turn():
            new, upload = self._unpacking or await self._begin()
            image = await upload.finish()
            self._step.close()
            self._go_on()
            if self._named not in (None, image):
                raise StemcellRejected(
                    f"the bytes are not the image that was named: {self._named}"
                )
            # Whoever gives up from now on must not remove what is about to appear.
            self._unpacking = None
            try:
                made = await self._maker.complete(new, image, self._cloud_properties)
            except BaseException:
                await self._maker.scratch.discard(new)
                raise
            self._note_made()
            return made

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """
        Wait for what was asked before; a failure is the end of the upload.

        @raise CPIError: if it has ended meanwhile: why.
        """
        async with self._turns:
            self._go_on()
            try:
                yield
            except BaseException as error:
                # Noted before others have their turn.
                self._end = error if isinstance(error, CPIError) else _given_up()
                self._step.close()
                raise

    def _go_on(self) -> None:
        if self._end is not None:
            raise self._end

    def _note_made(self) -> None:
        self.is_made = True
        self._end = InvalidArgument("upload: it has ended, and its stemcell is made")

    async def abort(self) -> None:
        """Stop unpacking, and remove what there is."""
        self._end = self._end or _given_up()
        self._step.close()
        unpacking, self._unpacking = self._unpacking, None
        if unpacking is not None:
            await unpacking.upload.abort()
            await self._maker.scratch.discard(unpacking.new)


def _given_up() -> CloudError:
    return CloudError("the upload was given up before all its bytes were taken")
