"""Stemcells: images that were unpacked once, for VMs to share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.base.locks import KeyedLock
from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.base.timestamps import now
from runc_cpi.daemon.stemcells.features import Features, inspect
from runc_cpi.daemon.stemcells.interfaces import IArchiver, IImages, IUpload
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.records import read_record, write_record
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.errors import (
    InvalidArgument,
    StemcellInUse,
    StemcellNotFound,
    StemcellRejected,
)

RECORD = "stemcell.json"
ROOTFS = "rootfs"
SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Stemcell:
    """
    A stemcell that VMs can be made from.

    @ivar path: its directory.
    @ivar rootfs: its root file system; light stemcells of one image share one.
    @ivar image: the digest of the OCI image it is made of, or L{None}.
    @ivar features: what it is like inside.
    @ivar cloud_properties: as they came with the image.
    @ivar created_at: when, in ISO 8601.
    """

    cid: str
    path: Path
    rootfs: Path
    image: str | None
    features: Features
    cloud_properties: Mapping[str, Any]
    created_at: str

    @classmethod
    def load(cls, path: Path, images: Path) -> Stemcell:
        """
        Read the record of the stemcell at C{path}.

        @param images: the directory that has the root file systems of OCI images.

        @raise OSError: if there is none.
        @raise ValueError: if it is not one of this version.
        """
        record = read_record(path / RECORD)
        if record.get("schema") != SCHEMA:
            raise ValueError(f"schema {record.get('schema')!r}; {SCHEMA} is known")
        try:
            return cls(
                cid=record["stemcell_cid"],
                path=path,
                rootfs=(_unpacked(images, record["image"]) if record["image"] else path)
                / ROOTFS,
                image=record["image"],
                features=Features(**record["features"]),
                cloud_properties=record["cloud_properties"],
                created_at=record["created_at"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a stemcell's record: {error}") from None

    def to_json(self) -> dict[str, Any]:
        """Return its record."""
        return {
            "schema": SCHEMA,
            "stemcell_cid": self.cid,
            "image": self.image,
            "features": self.features.to_json(),
            "cloud_properties": dict(self.cloud_properties),
            "created_at": self.created_at,
        }


class StemcellUpload:
    """
    A stemcell in the making, from bytes as they come.

    Nothing of it shows unless L{finish} succeeds; a failure anywhere removes it.
    """

    def __init__(self, stemcells: Stemcells, cloud_properties: dict[str, Any]) -> None:
        self._stemcells, self._cloud_properties = stemcells, cloud_properties
        self._scratch = stemcells.scratch.new()
        self._upload: IUpload = stemcells.archiver.open(_make_rootfs(self._scratch))

    async def write(self, data: bytes) -> None:
        """
        Take the next bytes; return once they are accepted downstream.

        @raise CPIError: what is wrong with the image, as soon as that is known.
        """
        await self._upload.write(data)

    async def finish(self) -> Stemcell:
        """
        The image is complete: make the stemcell of it.

        @raise CPIError: what is wrong with the image.
        """
        await self._upload.finish()
        return await self._stemcells.adopt(self._scratch, self._cloud_properties)

    async def abort(self) -> None:
        """Give up, and remove what there is."""
        await self._upload.abort()
        await self._stemcells.scratch.discard(self._scratch)


class Stemcells:
    """
    All stemcells of this host.

    @ivar archiver: unpacks them.
    @ivar scratch: where they are made, and removed.
    """

    log = Logger()

    def __init__(
        self, depot: Depot, archiver: IArchiver, images: IImages, scratch: Scratch
    ) -> None:
        self._depot, self.archiver, self._images = depot, archiver, images
        self.scratch = scratch
        self._locks = KeyedLock()
        self._stemcells: dict[str, Stemcell] = {}
        self._users: Counter[str] = Counter()
        self._suspects: set[str] = set()

    def load(self, repairs: Repairs) -> None:
        """Read the records; one that cannot be read is set aside, as it is."""
        for path in sorted(self._depot.stemcells.iterdir()):
            with repairs.attempt(f"set {path / RECORD} aside"):
                stemcell = Stemcell.load(path, self._depot.images)
                self._stemcells[stemcell.cid] = stemcell

    def all(self) -> list[Stemcell]:
        """Return every stemcell."""
        return list(self._stemcells.values())

    def begin(self, cloud_properties: Any) -> StemcellUpload:
        """
        Start to make a stemcell of bytes that will come.

        @raise InvalidArgument: if C{cloud_properties} is no object.
        """
        return StemcellUpload(self, _checked(cloud_properties))

    async def create(self, image: int, cloud_properties: Any) -> Stemcell:
        """
        Make a stemcell of an image file.

        @param image: a parcel with it (C{base/parcels.py}); the caller closes that.
        @raise CPIError: what is wrong with the arguments or the image.
        """
        properties = _checked(cloud_properties)
        scratch = self.scratch.new()
        try:
            await self.archiver.unpack(image, _make_rootfs(scratch))
            return await self.adopt(scratch, properties)
        except BaseException:
            await self.scratch.discard(scratch)
            raise

    async def fetch(self, cloud_properties: Any) -> Stemcell:
        """
        Make a stemcell of the OCI image that C{cloud_properties} name.

        @raise InvalidArgument: if they name none.
        @raise StemcellRejected: if it cannot be had, or is another than C{image_digest}.
        """
        properties = _checked(cloud_properties)
        reference = properties.get("image_reference")
        wanted = properties.get("image_digest")
        self._images.check(reference, wanted)
        scratch = self.scratch.new()
        try:
            digest = await self._images.fetch(str(reference), wanted, scratch)
            try:
                async with self._locks(digest):
                    await self._unpack_once(scratch, digest)
                    new = scratch / "stemcell"
                    new.mkdir(mode=0o700)
                    return await self.adopt(new, properties, image=digest)
            except BaseException:
                await self._drop_image(digest)
                raise
        finally:
            await self.scratch.discard(scratch)

    async def _unpack_once(self, scratch: Path, digest: str) -> None:
        path = _unpacked(self._depot.images, digest)
        if not path.exists():
            whole = self.scratch.new()
            try:
                await self._images.unpack(scratch, whole / ROOTFS)
                await self.archiver.sync(whole)
                await self.scratch.publish(whole, path)
            except BaseException:
                await self.scratch.discard(whole)
                raise

    async def _drop_image(self, digest: str) -> None:
        """Remove an unpacked image that no stemcell is made of any more."""
        async with self._locks(digest):
            path = _unpacked(self._depot.images, digest)
            used = any(stemcell.image == digest for stemcell in self._stemcells.values())
            if not used and path.exists():
                await self.scratch.remove(path)

    async def sweep(self, repairs: Repairs) -> None:
        """Remove what a crash left: unpacked images without a stemcell."""
        for path in sorted(self._depot.images.iterdir()):
            with repairs.attempt(f"cannot remove {path}"):
                await self._drop_image(path.name.replace("-", ":", 1))
                if not path.exists():
                    repairs.did(f"removed {path}, which no stemcell is made of")

    async def adopt(
        self,
        scratch: Path,
        cloud_properties: Mapping[str, Any],
        image: str | None = None,
    ) -> Stemcell:
        """
        Make a stemcell of an unpacked image.

        @param scratch: a directory with the C{rootfs} in it, which becomes the stemcell.
        @param image: the digest of the unpacked image that has the C{rootfs} instead.
        @raise StemcellRejected: if that is no root file system.
        """
        shared = None if image is None else _unpacked(self._depot.images, image) / ROOTFS
        features = await deferToThread(inspect, shared or scratch / ROOTFS)
        if features is None:
            raise StemcellRejected(
                "the image is no root file system: it has neither "
                "/usr/sbin/runsvdir-start nor systemd as /sbin/init nor /bin/sh"
            )
        cid = f"stemcell-{uuid4()}"
        stemcell = Stemcell(
            cid=cid,
            path=self._depot.stemcells / cid,
            rootfs=shared or self._depot.stemcells / cid / ROOTFS,
            image=image,
            features=features,
            cloud_properties=cloud_properties,
            created_at=now(),
        )
        await self.archiver.sync(scratch)
        await deferToThread(write_record, scratch / RECORD, stemcell.to_json())
        await self.scratch.publish(scratch, stemcell.path)
        self._stemcells[cid] = stemcell
        self.log.info(
            "created {stemcell_cid}, init {init}",
            stemcell_cid=cid,
            init=features.init or "unknown",
        )
        return stemcell

    async def delete(self, cid: str) -> None:
        """
        Delete a stemcell; an unknown one is no error.

        @raise StemcellInUse: if VMs run from it.
        """
        if self._users[cid]:
            raise StemcellInUse(f"{cid} is in use by {self._users[cid]} VMs")
        if cid in self._stemcells and self._suspects:
            suspects = ", ".join(sorted(self._suspects))
            raise StemcellInUse(f"{cid} may be that of {suspects}, whose record is no good")
        stemcell = self._stemcells.pop(cid, None)
        if stemcell is None:
            return
        try:
            await self.scratch.remove(stemcell.path)
        except OSError:
            self._stemcells[cid] = stemcell
            raise
        self.log.info("deleted {stemcell_cid}", stemcell_cid=cid)
        if stemcell.image is not None:
            await self._drop_image(stemcell.image)

    def hold(self, cid: str) -> Stemcell:
        """
        Count one more user of a stemcell, which cannot be deleted then.

        @raise StemcellNotFound: if there is no such stemcell.
        """
        stemcell = self.get(cid)
        self._users[cid] += 1
        return stemcell

    def release(self, cid: str) -> None:
        """Count one user less."""
        self._users[cid] -= 1

    def get(self, cid: str) -> Stemcell:
        """
        Return a stemcell.

        @raise StemcellNotFound: if there is no such stemcell.
        """
        if cid not in self._stemcells:
            raise StemcellNotFound(f"there is no stemcell {cid!r}")
        return self._stemcells[cid]

    def guard(self, vm_cid: str) -> None:
        """Let no stemcell be deleted: it is not known which one this VM is of."""
        self._suspects.add(vm_cid)


def _unpacked(images: Path, digest: str) -> Path:
    # overlayfs would take a colon for the end of a path.
    return images / digest.replace(":", "-", 1)


def _checked(cloud_properties: Any) -> dict[str, Any]:
    if not isinstance(cloud_properties, dict):
        raise InvalidArgument("cloud_properties: must be an object")
    return cloud_properties


def _make_rootfs(scratch: Path) -> Path:
    rootfs = scratch / ROOTFS
    rootfs.mkdir(mode=0o755)
    return rootfs
