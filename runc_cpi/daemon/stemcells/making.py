"""Makes stemcells: from an image file, from an OCI image, from what is unpacked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from twisted.internet.threads import deferToThread

from runc_cpi.daemon.base.calls import span
from runc_cpi.daemon.base.timestamps import now
from runc_cpi.daemon.stemcells.content import Content
from runc_cpi.daemon.stemcells.features import inspect
from runc_cpi.daemon.stemcells.image_reference import ImageReference
from runc_cpi.daemon.stemcells.interfaces import IArchiver, IImages
from runc_cpi.daemon.stemcells.rootfs_store import RootfsStore
from runc_cpi.daemon.stemcells.stemcell import Stemcell, record_path, rootfs_path
from runc_cpi.daemon.storage.records import write_record
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.errors import InvalidArgument, StemcellRejected


class StemcellMaker:
    """
    Makes stemcells in scratch; each appears whole, or nothing of it stays.

    @param directory: C{stemcells/} of the C{work_dir}, where they appear.
    @param add: called with each stemcell as soon as it has appeared.
    """

    def __init__(
        self,
        *,
        directory: Path,
        scratch: Scratch,
        archiver: IArchiver,
        images: IImages,
        rootfs_store: RootfsStore,
        add: Callable[[Stemcell], None],
    ) -> None:
        self._directory, self.scratch, self.archiver = directory, scratch, archiver
        self._images, self._rootfs_store, self._add = images, rootfs_store, add

    async def from_file(self, image: int, cloud_properties: Any) -> Stemcell:
        """
        Make a stemcell of an image file.

        @param image: a parcel with the file (C{base/parcels.py}); the caller closes it.
        @raise InvalidArgument: if C{cloud_properties} is no object, or the file cannot be
            read.
        @raise CPIError: what is wrong with the image.
        """
        properties = checked(cloud_properties)
        sizes = self._rootfs_store.sizes()
        with span("hash"):
            known = await self.archiver.identify(image, sizes) if sizes else None
        if known is not None:
            stemcell = await self.from_unpacked(known, properties)
            if stemcell is not None:
                return stemcell
        await self.scratch.make_room()
        new = self.scratch.new()
        try:
            self.scratch.begin_sync(new)
            with span("unpack"):
                content = await self.archiver.unpack(image, made_rootfs(new))
            return await self.complete(new, content, properties)
        except BaseException:
            await self.scratch.discard(new)
            raise

    async def from_unpacked(
        self, image: Content, cloud_properties: Mapping[str, Any]
    ) -> Stemcell | None:
        """
        Make a stemcell of an image file that is unpacked, or return L{None} if it is not.

        @raise CloudError: if what is unpacked is damaged, and VMs run on it.
        @raise OSError: if the stemcell cannot be written.
        """
        if not await self._rootfs_store.hold_unpacked(image):
            return None
        async with self._holding(image):
            return await self._appear(image, cloud_properties)

    async def from_oci_image(self, cloud_properties: Any) -> Stemcell:
        """
        Make a light stemcell of the OCI image that C{cloud_properties} name.

        @raise InvalidArgument: if they are no object, or name no image.
        @raise StemcellRejected: if the image cannot be had, or is another than
            they say.
        @raise CPIError: what else is wrong with the image.
        """
        properties = checked(cloud_properties)
        image = ImageReference.parse(properties)
        fetched = self.scratch.new()
        try:
            await self.scratch.make_room()
            content = Content(await self._images.fetch(image, fetched))
            self._rootfs_store.hold(content)
            async with self._holding(content):
                await self._rootfs_store.unpack(fetched, content.digest)
                return await self._appear(content, properties)
        finally:
            self.scratch.drop(fetched)

    async def complete(
        self, new: Path, image: Content, cloud_properties: Mapping[str, Any]
    ) -> Stemcell:
        """
        Have a stemcell appear whose image is unpacked.

        @param new: the directory in scratch that it was unpacked in; it is used up.
        @raise StemcellRejected: if it is no root file system.
        @raise CloudError: if the file system cannot be written.
        @raise OSError: if the stemcell cannot be written.
        """
        self._rootfs_store.hold(image)
        async with self._holding(image):
            await self._rootfs_store.adopt(new, image.digest)
            return await self._appear(image, cloud_properties)

    @asynccontextmanager
    async def _holding(self, image: Content) -> AsyncIterator[None]:
        """Release an image that is held if what is done with it fails."""
        try:
            yield
        except BaseException:
            await self._rootfs_store.release(image.digest)
            raise

    async def _appear(
        self, image: Content, cloud_properties: Mapping[str, Any]
    ) -> Stemcell:
        """
        Have a stemcell appear whose root file system is in the store.

        @raise StemcellRejected: if it is no root file system.
        @raise OSError: if the stemcell cannot be written.
        """
        rootfs = self._rootfs_store.rootfs(image.digest)
        with span("inspect"):
            features = await deferToThread(inspect, rootfs)
        if features is None:
            raise StemcellRejected(
                "the image is no root file system: it has neither "
                "/usr/sbin/runsvdir-start nor systemd as /sbin/init nor /bin/sh"
            )
        cid = f"stemcell-{uuid4()}"
        stemcell = Stemcell(
            cid=cid,
            path=self._directory / cid,
            rootfs=rootfs,
            image=image,
            features=features,
            cloud_properties=cloud_properties,
            created_at=now(),
        )
        new = self.scratch.new()
        try:
            with span("record"):
                await deferToThread(write_record, record_path(new), stemcell.to_json())
            await self.scratch.publish(new, stemcell.path)
        except BaseException:
            await self.scratch.discard(new)
            raise
        self._rootfs_store.note(image.digest, features)
        self._add(stemcell)
        return stemcell


def checked(cloud_properties: Any) -> dict[str, Any]:
    """
    Return C{cloud_properties} as they are.

    @raise InvalidArgument: if they are no object.
    """
    if not isinstance(cloud_properties, dict):
        raise InvalidArgument("cloud_properties: must be an object")
    return cloud_properties


def made_rootfs(new: Path) -> Path:
    """Make the directory that an image is unpacked into."""
    rootfs = rootfs_path(new)
    rootfs.mkdir(mode=0o755)
    return rootfs
