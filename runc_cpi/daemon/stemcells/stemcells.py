"""All stemcells of this host: made, found, held by VMs, deleted."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.logger import Logger

from runc_cpi.daemon.base.repairs import SET_ASIDE, Repairs
from runc_cpi.daemon.stemcells.interfaces import IArchiver, IImages
from runc_cpi.daemon.stemcells.making import StemcellMaker
from runc_cpi.daemon.stemcells.rootfs_store import RootfsStore
from runc_cpi.daemon.stemcells.stemcell import Stemcell, record_path
from runc_cpi.daemon.stemcells.upload import StemcellUpload
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.errors import StemcellInUse, StemcellNotFound


class Stemcells:
    """All stemcells of this host, and how many VMs use each."""

    log = Logger()

    def __init__(
        self, depot: Depot, archiver: IArchiver, images: IImages, scratch: Scratch
    ) -> None:
        self._directory, self._scratch = depot.stemcells, scratch
        self._rootfs_store = RootfsStore(depot.images, images, scratch, self._has_vms)
        self._maker = StemcellMaker(
            directory=depot.stemcells,
            scratch=scratch,
            archiver=archiver,
            images=images,
            rootfs_store=self._rootfs_store,
            add=self._add,
        )
        self._stemcells: dict[str, Stemcell] = {}
        self._users: Counter[str] = Counter()
        # VMs whose records cannot be read: each may be of any stemcell.
        self._unreadable_vms: set[str] = set()

    def load(self, repairs: Repairs) -> None:
        """Read the records; a stemcell whose record cannot be read is left as it is."""
        for path in sorted(self._directory.iterdir()):
            stemcell = None
            with repairs.attempt(f"set {record_path(path)} aside", happened=SET_ASIDE):
                stemcell = Stemcell.load(path, self._rootfs_store.rootfs)
            if stemcell is None:
                self._rootfs_store.doubt(path.name)
                continue
            if stemcell.image is not None:
                self._rootfs_store.hold(stemcell.image)
                self._rootfs_store.note(stemcell.image.digest, stemcell.features)
            self._stemcells[stemcell.cid] = stemcell

    async def sweep(self, repairs: Repairs) -> None:
        """Remove root file systems of images that a crash left without a stemcell."""
        await self._rootfs_store.sweep(repairs)

    def all(self) -> list[Stemcell]:
        """Return every stemcell."""
        return list(self._stemcells.values())

    def get(self, cid: str) -> Stemcell:
        """
        Return a stemcell.

        @raise StemcellNotFound: if there is no such stemcell.
        """
        if cid not in self._stemcells:
            raise StemcellNotFound(f"there is no stemcell {cid!r}")
        return self._stemcells[cid]

    async def create(self, image: int, cloud_properties: Any) -> Stemcell:
        """
        Make a stemcell of an image file.

        @param image: a parcel with the file (C{base/parcels.py}); the caller closes it.
        @raise InvalidArgument: what is wrong with the arguments.
        @raise StemcellRejected: what is wrong with the image.
        @raise NoDiskSpace: if the disk ran full.
        @raise CloudError: if the file system cannot be written.
        """
        return await self._maker.from_file(image, cloud_properties)

    def has_image_of(self, size: int) -> bool:
        """Say whether an image file of so many bytes is unpacked here."""
        return size in self._rootfs_store.sizes()

    def open_upload(self, cloud_properties: Any) -> StemcellUpload:
        """
        Begin to make a stemcell of an image whose bytes will come.

        @raise InvalidArgument: if C{cloud_properties} is no object.
        """
        return StemcellUpload(self._maker, cloud_properties)

    async def fetch(self, cloud_properties: Any) -> Stemcell:
        """
        Make a light stemcell of the OCI image that C{cloud_properties} name.

        @raise InvalidArgument: what is wrong with the arguments.
        @raise StemcellRejected: what is wrong with the image.
        @raise NoDiskSpace: if the disk ran full.
        @raise CloudError: if the file system cannot be written.
        """
        return await self._maker.from_oci_image(cloud_properties)

    def _add(self, stemcell: Stemcell) -> None:
        self._stemcells[stemcell.cid] = stemcell
        self.log.info(
            "created {stemcell_cid}, init {init}",
            stemcell_cid=stemcell.cid,
            init=stemcell.features.init or "unknown",
        )

    async def delete(self, cid: str) -> None:
        """
        Delete a stemcell; an unknown one is no error.

        @raise StemcellInUse: if VMs run from it, or may do so.
        @raise OSError: if it cannot be taken out of its place; it is kept then.
        """
        if self._users[cid]:
            raise StemcellInUse(f"{cid} is in use by {self._users[cid]} VMs")
        if cid in self._stemcells and self._unreadable_vms:
            vms = ", ".join(sorted(self._unreadable_vms))
            raise StemcellInUse(f"{cid} may be that of {vms}, whose record is no good")
        stemcell = self._stemcells.pop(cid, None)
        if stemcell is None:
            return
        try:
            await self._scratch.remove(stemcell.path)
        except OSError:
            self._stemcells[cid] = stemcell
            raise
        self.log.info("deleted {stemcell_cid}", stemcell_cid=cid)
        if stemcell.image is not None:
            await self._rootfs_store.release(stemcell.image.digest)

    def hold(self, cid: str) -> Stemcell:
        """
        Count one more VM that uses a stemcell, which cannot be deleted then.

        @raise StemcellNotFound: if there is no such stemcell.
        """
        stemcell = self.get(cid)
        self._users[cid] += 1
        return stemcell

    def release(self, cid: str) -> None:
        """Count one VM less that uses a stemcell."""
        self._users[cid] -= 1

    def guard(self, vm_cid: str) -> None:
        """Refuse all deletions from now on: this VM's record does not tell its stemcell."""
        self._unreadable_vms.add(vm_cid)
        self.keep_images(vm_cid)

    def keep_images(self, vm_cid: str) -> None:
        """Remove no image from now on: this VM may run on one whose stemcell is lost."""
        self._rootfs_store.doubt(vm_cid)

    def let_images_go(self, vm_cid: str) -> None:
        """Keep no image for a VM whose stemcell is lost: the VM is gone."""
        self._rootfs_store.settle(vm_cid)

    def _has_vms(self, digest: str) -> bool:
        """Say whether VMs run on the root file system of an image."""
        stemcells = [cid for cid in self._users if self._users[cid]]
        images = [self._stemcells[cid].image for cid in stemcells if cid in self._stemcells]
        return any(image is not None and image.digest == digest for image in images)
