"""The stemcells that are being streamed over one connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, TypeVar

from runc_cpi.daemon.base.calls import Call, current
from runc_cpi.daemon.events.calls import Calls, Problem
from runc_cpi.daemon.rpc.commands import ImportStemcell
from runc_cpi.daemon.stemcells.content import Content, checked_size
from runc_cpi.daemon.stemcells.stemcell import Stemcell
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.stemcells.upload import StemcellUpload
from runc_cpi.errors import (
    CPIError,
    DaemonUnreachable,
    InternalError,
    InvalidArgument,
)

T = TypeVar("T")


class Uploads:
    """
    The uploads of one connection, by number.

    Chunks may still come in for an upload that has failed: each is answered with the
    error that ended it.

    @param stemcells: makes stemcells of what is uploaded.
    @param limit: how many uploads may be under way at once.
    @param calls: an upload is one of these.
    """

    def __init__(self, stemcells: Stemcells, limit: int, calls: Calls) -> None:
        self._stemcells, self._limit, self._calls = stemcells, limit, calls
        self._noted: dict[int, Call] = {}
        self._numbers = count(1)
        self._under_way: dict[int, StemcellUpload] = {}
        # The last ones alone: a peer must not make this grow.
        self._failed: dict[int, CPIError] = {}

    def begin(self, cloud_properties: Any, size: int | None = None) -> int:
        """
        Begin an upload.

        @param size: of its image, in bytes, if the caller tells it.
        @return: its number.
        @raise InvalidArgument: if C{cloud_properties} or the size are no good, or too
            many uploads are under way.
        """
        if len(self._under_way) >= self._limit:
            raise InvalidArgument(
                f"{len(self._under_way)} uploads are under way on this connection, and no "
                "more are allowed: limits.uploads"
            )
        number = next(self._numbers)
        call = self._noted[number] = self._calls.begin(ImportStemcell.method, ())
        call.take_turn()
        try:
            if size is not None:
                checked_size(size)
            self._under_way[number] = self._stemcells.open_upload(cloud_properties)
        except Exception as error:
            self._note_end(number, _problem(error))
            raise
        return number

    async def write(self, number: int, data: bytes) -> None:
        """
        Pass on the next bytes of an image, and wait until they are taken.

        @raise InvalidArgument: if there is no such upload.
        @raise CPIError: as L{Stemcells.create} does.
        """
        await self._abort_on_error(number, lambda upload: upload.write(data))

    async def name(self, number: int, image: Content) -> Stemcell | None:
        """
        End an upload, and make the stemcell, if its image is unpacked here.

        @return: the stemcell, or L{None} if the upload goes on.
        @raise InvalidArgument: if there is no such upload, or bytes of it came.
        @raise CPIError: as L{Stemcells.create} does.
        """
        stemcell = await self._abort_on_error(number, lambda upload: upload.name(image))
        if stemcell is not None:
            self._made(number, stemcell)
        return stemcell

    async def finish(self, number: int) -> Stemcell:
        """
        End an upload, and make the stemcell of it.

        @raise InvalidArgument: if there is no such upload.
        @raise CPIError: as L{Stemcells.create} does.
        """
        stemcell = await self._abort_on_error(number, StemcellUpload.finish)
        self._made(number, stemcell)
        return stemcell

    def _made(self, number: int, stemcell: Stemcell) -> None:
        self._under_way.pop(number, None)
        self._note_end(number, None, stemcell.cid)

    async def abort_all(self) -> None:
        """Clear away what was uploaded so far."""
        gone = _problem(DaemonUnreachable("the caller hung up before the end of the image"))
        for number in list(self._under_way):
            self._note_end(number, gone)
            await self._abort(number)

    def _find(self, number: int) -> StemcellUpload:
        try:
            return self._under_way[number]
        except KeyError:
            if number in self._failed:
                raise self._failed[number] from None
            message = f"upload: there is no upload {number} on this connection"
            raise InvalidArgument(message) from None

    async def _abort_on_error(
        self, number: int, work: Callable[[StemcellUpload], Awaitable[T]]
    ) -> T:
        upload = self._find(number)
        current.set(self._noted.get(number))  # that it began with, not this command's
        try:
            return await work(upload)
        except CPIError as error:
            if upload.is_made:  # what came behind its end does not undo it
                raise
            self._note_end(number, _problem(error))
            first = self._failed.setdefault(number, error)
            while len(self._failed) > self._limit:
                del self._failed[next(iter(self._failed))]
            await self._abort(number)
            raise first from None
        except BaseException as error:
            self._note_end(number, _problem(error))
            await self._abort(number)
            raise

    def _note_end(self, number: int, problem: Problem | None, *made: str) -> None:
        call = self._noted.pop(number, None)
        if call is not None:
            self._calls.end(call, made=made, problem=problem)

    async def _abort(self, number: int) -> None:
        upload = self._under_way.pop(number, None)
        if upload is not None:
            await upload.abort()


def _problem(error: BaseException) -> Problem:
    if isinstance(error, CPIError):
        return Problem(type(error).__name__, str(error))
    # What others say can hold a secret.
    return Problem(InternalError.__name__, "the daemon's log tells more")
