"""Stemcells that are made of bytes as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import DeferredLock

from runc_cpi.daemon.base.calls import span
from runc_cpi.daemon.stemcells.content import Content
from runc_cpi.daemon.stemcells.interfaces import IUpload
from runc_cpi.daemon.stemcells.making import StemcellMaker, checked, made_rootfs
from runc_cpi.daemon.stemcells.stemcell import Stemcell
from runc_cpi.errors import CloudError, InvalidArgument, StemcellRejected


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
    before it returned.

    @raise InvalidArgument: if C{cloud_properties} is no object.
    """

    def __init__(self, maker: StemcellMaker, cloud_properties: Any) -> None:
        self._maker, self._cloud_properties = maker, checked(cloud_properties)
        self._unpacking: _Unpacking | None = None
        self._named: Content | None = None
        self._turns = DeferredLock()
        self._is_aborted = False

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
            return await self._maker.from_unpacked(image, self._cloud_properties)

    async def write(self, data: bytes) -> None:
        """
        Unpack the next bytes; return when there is room for more.

        @raise CPIError: what is wrong with the image, as soon as that is known.
        """
        async with self._turn():
            unpacking = self._unpacking
            if unpacking is None:
                unpacking = self._begin()
                await self._maker.scratch.make_room()
                self._go_on()
            await unpacking.upload.write(data)

    def _begin(self) -> _Unpacking:
        new = self._maker.scratch.new()
        self._unpacking = _Unpacking(new, self._maker.archiver.open(made_rootfs(new)))
        self._maker.scratch.begin_sync(new)
        return self._unpacking

    async def finish(self) -> Stemcell:
        """
        Take note that all bytes were written, and make the stemcell.

        @raise CPIError: what is wrong with the image.
        """
        async with self._turn():
            new, upload = self._unpacking or self._begin()
            with span("unpack"):
                image = await upload.finish()
            self._go_on()
            if self._named not in (None, image):
                raise StemcellRejected("the image changed while it was sent")
            return await self._maker.complete(new, image, self._cloud_properties)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """
        Wait for what was asked before.

        @raise CloudError: if the upload was given up meanwhile.
        """
        async with self._turns:
            self._go_on()
            yield

    def _go_on(self) -> None:
        if self._is_aborted:
            raise CloudError("the upload was given up before all its bytes were taken")

    async def abort(self) -> None:
        """Stop unpacking, and remove what there is."""
        self._is_aborted = True
        if self._unpacking is not None:
            await self._unpacking.upload.abort()
            await self._maker.scratch.discard(self._unpacking.new)
