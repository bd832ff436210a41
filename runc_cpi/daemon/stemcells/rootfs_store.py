"""Root file systems of OCI images: each is unpacked once, for all stemcells made of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from runc_cpi.daemon.base.locks import KeyedLock
from runc_cpi.daemon.base.repairs import PRUNED, Repairs
from runc_cpi.daemon.stemcells.interfaces import IImages
from runc_cpi.daemon.stemcells.stemcell import rootfs_path
from runc_cpi.daemon.storage.scratch import Scratch


class RootfsStore:
    """
    The root file systems of light stemcells, by the digests of their images.

    A root file system is there from the first L{unpack} of its image until nothing that
    L{hold} counted uses it any more.

    @param directory: C{images/} of the C{work_dir}.
    """

    def __init__(self, directory: Path, images: IImages, scratch: Scratch) -> None:
        self._directory, self._images, self._scratch = directory, images, scratch
        self._locks = KeyedLock()
        self._users: Counter[str] = Counter()
        self._keeps_all = False

    def rootfs(self, digest: str) -> Path:
        """Return where the root file system of an image is, or will be."""
        return rootfs_path(self._path(digest))

    def _path(self, digest: str) -> Path:
        # overlayfs would take a colon for the end of a path.
        return self._directory / digest.replace(":", "-", 1)

    def hold(self, digest: str) -> None:
        """Count one more user of an image; its root file system is not removed then."""
        self._users[digest] += 1

    def keep_all(self) -> None:
        """Remove nothing from now on: a stemcell's record does not tell its image."""
        self._keeps_all = True

    async def release(self, digest: str) -> None:
        """Count one user less, and remove the root file system after the last."""
        self._users[digest] -= 1
        await self._remove_unused(digest)

    async def unpack(self, fetched: Path, digest: str) -> None:
        """
        Unpack an image, unless that was done before.

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
                await self._scratch.sync(new)
                await self._scratch.publish(new, path)
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
