"""Answers to commands about stemcells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.protocols import amp

from runc_cpi.daemon.base import parcels
from runc_cpi.daemon.rpc import commands
from runc_cpi.daemon.rpc.receipts import Receipts
from runc_cpi.daemon.rpc.uploads import Uploads
from runc_cpi.daemon.stemcells.content import Content
from runc_cpi.daemon.stemcells.stemcells import Stemcells

Answer = dict[str, Any]


class StemcellResponders(amp.CommandLocator):
    """
    Answers commands about stemcells.

    @param stemcells: all stemcells of this host.
    @param uploads: those of this connection.
    @param receipts: those that the caller at the other end owes.
    @param take_file: returns the file, packed, that came with a message as the one of
        this number on the connection.
    """

    def __init__(
        self,
        stemcells: Stemcells,
        uploads: Uploads,
        receipts: Receipts,
        take_file: Callable[[int], int],
    ) -> None:
        self._stemcells, self._uploads = stemcells, uploads
        self._receipts = receipts
        # Here amp.Descriptor looks for what takes a file.
        self._getDescriptor = take_file

    @commands.ImportStemcell.responder
    async def import_stemcell(
        self, image: int, cloud_properties: Any, confirms: bool = False
    ) -> Answer:
        try:
            stemcell = await self._stemcells.create(image, cloud_properties)
        finally:
            parcels.close(image)
        return await self._made(stemcell.cid, confirms)

    @commands.FetchStemcell.responder
    async def fetch_stemcell(self, cloud_properties: Any, confirms: bool = False) -> Answer:
        stemcell = await self._stemcells.fetch(cloud_properties)
        return await self._made(stemcell.cid, confirms)

    @commands.OpenStemcell.responder
    def open_stemcell(self, cloud_properties: Any, size: int | None = None) -> Answer:
        upload = self._uploads.begin(cloud_properties, size)
        wants_digest = size is not None and self._stemcells.has_image_of(size)
        return {"upload": upload, "wants_digest": wants_digest}

    @commands.NameStemcell.responder
    async def name_stemcell(
        self, upload: int, digest: str, size: int, confirms: bool = False
    ) -> Answer:
        stemcell = await self._uploads.name(upload, Content.named(digest, size))
        return {} if stemcell is None else await self._made(stemcell.cid, confirms)

    @commands.WriteStemcell.responder
    async def write_stemcell(self, upload: int, data: bytes) -> Answer:
        await self._uploads.write(upload, data)
        return {}

    @commands.CloseStemcell.responder
    async def close_stemcell(self, upload: int, confirms: bool = False) -> Answer:
        stemcell = await self._uploads.finish(upload)
        return await self._made(stemcell.cid, confirms)

    @commands.DeleteStemcell.responder
    async def delete_stemcell(self, stemcell_cid: str) -> Answer:
        await self._stemcells.delete(stemcell_cid)
        return {}

    @commands.ListStemcells.responder
    def list_stemcells(self) -> Answer:
        return {"stemcells": [stemcell.to_json() for stemcell in self._stemcells.all()]}

    async def _made(self, stemcell_cid: str, confirms: bool) -> Answer:
        await self._receipts.made(stemcell_cid, self._stemcells.delete, confirms)
        return {"stemcell_cid": stemcell_cid}
