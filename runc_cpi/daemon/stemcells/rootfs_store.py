"""Root file systems of images: each is unpacked once, for all stemcells made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.base.locks import KeyedLock
from runc_cpi.daemon.base.repairs import PRUNED, Repairs
from runc_cpi.daemon.stemcells.content import Content
from runc_cpi.daemon.stemcells.features import Features, inspect
from runc_cpi.daemon.stemcells.interfaces import IImages
from runc_cpi.daemon.stemcells.stemcell import rootfs_path
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.errors import CloudError


class RootfsStore:
    """
    The root file systems of stemcells, by the digests of their images.

    A root file system is there from when its image is first unpacked until nothing that
    L{hold} counted uses it any more.  The records of stemcells tell who does.

    @param directory: C{images/} of the C{work_dir}.
    @param has_vms: says of a digest whether VMs run on its root file system.
    """

    log = Logger()

    def __init__(
        self,
        directory: Path,
        images: IImages,
        scratch: Scratch,
        has_vms: Callable[[str], bool],
    ) -> None:
        self._directory, self._images, self._scratch = directory, images, scratch
        self._has_vms = has_vms
        self._locks = KeyedLock()
        self._users: Counter[str] = Counter()
        self._sizes: dict[str, int] = {}
        self._features: dict[str, Features] = {}
        self._doubts: set[str] = set()

    def rootfs(self, digest: str) -> Path:
        """Return where the root file system of an image is, or will be."""
        return rootfs_path(self._path(digest))

    def _path(self, digest: str) -> Path:
        # overlayfs would take a colon for the end of a path.
        return self._directory / digest.replace(":", "-", 1)

    def sizes(self) -> set[int]:
        """Return the sizes of the image files that are unpacked here, in bytes."""
        return set(self._sizes.values())

    def hold(self, image: Content) -> None:
        """Count one more user of an image; its root file system is not removed then."""
        self._users[image.digest] += 1
        if image.size is not None:
            self._sizes[image.digest] = image.size

    def note(self, digest: str, features: Features) -> None:
        """Note what the records of stemcells say of an image's root file system."""
        self._features[digest] = features

    async def hold_unpacked(self, image: Content) -> bool:
        """
        Count one more user of an image file if it is unpacked; return whether it is.

        What has its digest and another size, or none, is no such file.

        @raise CloudError: if what is unpacked is damaged, and VMs run on it.
        """
        if self._sizes.get(image.digest) != image.size:
            return False
        self.hold(image)
        is_unpacked = False
        try:
            async with self._locks(image.digest):
                is_unpacked = await self._has(image.digest)
        finally:
            if not is_unpacked:
                await self.release(image.digest)
        return is_unpacked

    def doubt(self, user: str) -> None:
        """Remove nothing from now on: it is not known which image somebody uses."""
        self._doubts.add(user)

    def settle(self, user: str) -> None:
        """Have that user, who is no more, keep nothing; a sweep removes what is unused."""
        self._doubts.discard(user)

    async def release(self, digest: str) -> None:
        """Count one user less, and remove the root file system after the last."""
        self._users[digest] -= 1
        if not self._users[digest]:
            self._sizes.pop(digest, None)
            self._features.pop(digest, None)
        await self._remove_unused(digest)

    async def adopt(self, new: Path, digest: str) -> None:
        """
        Take in the root file system of an image, unless there is one by now.

        @param new: the directory in scratch that it was unpacked in.
        @param digest: of the image; the caller holds it.
        @raise CloudError: if the file system cannot be written.
        @raise OSError: if it cannot be moved to its place.
        """
        async with self._locks(digest):
            if await self._has(digest):
                self._scratch.drop(new)
            else:
                await self._publish(new, self._path(digest))

    async def _publish(self, new: Path, path: Path) -> None:
        await self._scratch.sync(new)
        await self._scratch.publish(new, path)

    async def unpack(self, fetched: Path, digest: str) -> None:
        """
        Unpack an OCI image, unless that was done before.

        @param fetched: where L{IImages.fetch} copied the image to.
        @param digest: the digest that it returned; the caller holds it.
        @raise CPIError: if the image cannot be unpacked.
        """
        async with self._locks(digest):
            if await self._has(digest):
                return
            new = self._scratch.new()
            try:
                self._scratch.begin_sync(new)
                await self._images.unpack(fetched, rootfs_path(new))
                await self._publish(new, self._path(digest))
            except BaseException:
                await self._scratch.discard(new)
                raise

    async def _has(self, digest: str) -> bool:
        """
        Say whether an image whose lock is held is unpacked, and looks whole.

        What is left of a damaged one is moved away.

        @raise CloudError: if it is damaged, and VMs run on it.
        """
        path = self._path(digest)
        if not path.exists():
            return False
        if await deferToThread(_looks_whole, rootfs_path(path), self._features.get(digest)):
            return True
        if rootfs_path(path).exists() and (self._doubts or self._has_vms(digest)):
            raise CloudError(
                f"{path} is damaged, and VMs run on it: delete them, then make the "
                "stemcell again"
            )
        self.log.error("{path} is damaged: it is unpacked anew", path=str(path))
        await self._scratch.remove(path)
        return False

    async def sweep(self, repairs: Repairs) -> None:
        """Remove root file systems that a crash left without a stemcell."""
        for path in sorted(self._directory.iterdir()):
            with repairs.attempt(f"cannot remove {path}", happened=PRUNED):
                await self._remove_unused(path.name.replace("-", ":", 1))
                if not path.exists():
                    text = f"removed {path}, which no stemcell is made of"
                    repairs.did(text, happened=PRUNED)

    async def _remove_unused(self, digest: str) -> None:
        async with self._locks(digest):
            path = self._path(digest)
            is_used = self._doubts or self._users[digest]
            if not is_used and path.exists():
                await self._scratch.remove(path)


def _looks_whole(rootfs: Path, features: Features | None) -> bool:
    """
    Say whether a root file system is there and is booted by what its records say.

    Nothing else of the features is compared: an older daemon may have seen less.

    @param features: what records say of it, or L{None} if there are none.
    """
    try:
        found = inspect(rootfs)
    except OSError:
        return False
    return found is not None and (features is None or found.init == features.init)
