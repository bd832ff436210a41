"""Root file systems of images: each is unpacked once, for all stemcells made of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from runc_cpi.daemon.base.locks import KeyedLock
from runc_cpi.daemon.base.repairs import PRUNED, Repairs
from runc_cpi.daemon.stemcells.content import Content
from runc_cpi.daemon.stemcells.interfaces import IImages
from runc_cpi.daemon.stemcells.stemcell import rootfs_path
from runc_cpi.daemon.storage.scratch import Scratch


class RootfsStore:
    """
    The root file systems of stemcells, by the digests of their images.

    A root file system is there from when its image is first unpacked until nothing that
    L{hold} counted uses it any more.  The records of stemcells tell who does.

    @param directory: C{images/} of the C{work_dir}.
    """

    def __init__(self, directory: Path, images: IImages, scratch: Scratch) -> None:
        self._directory, self._images, self._scratch = directory, images, scratch
        self._locks = KeyedLock()
        self._users: Counter[str] = Counter()
        self._sizes: dict[str, int] = {}
        self._keeps_all = False

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

    async def hold_unpacked(self, image: Content) -> bool:
        """Count one more user of an image if it is unpacked; return whether it is."""
        self.hold(image)
        async with self._locks(image.digest):
            is_unpacked = self._path(image.digest).exists()
        if not is_unpacked:
            await self.release(image.digest)
        return is_unpacked

    def keep_all(self) -> None:
        """Remove nothing from now on: not all users of images are known."""
        self._keeps_all = True

    async def release(self, digest: str) -> None:
        """Count one user less, and remove the root file system after the last."""
        self._users[digest] -= 1
        if not self._users[digest]:
            self._sizes.pop(digest, None)
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
            path = self._path(digest)
            if path.exists():
                self._scratch.drop(new)
            else:
                await self._publish(new, path)

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
            path = self._path(digest)
            if path.exists():
                return
            new = self._scratch.new()
            try:
                await self._images.unpack(fetched, rootfs_path(new))
                await self._publish(new, path)
            except BaseException:
                await self._scratch.discard(new)
                raise

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
            is_used = self._keeps_all or self._users[digest]
            if not is_used and path.exists():
                await self._scratch.remove(path)
