"""A stemcell: its record, and where its files are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runc_cpi.daemon.stemcells.content import Content
from runc_cpi.daemon.stemcells.features import Features
from runc_cpi.daemon.storage.records import read_record

SCHEMA = 1


def record_path(directory: Path) -> Path:
    """Return where the record is in the directory of a stemcell."""
    return directory / "stemcell.json"


def rootfs_path(directory: Path) -> Path:
    """Return where the root file system is in the directory of a stemcell or an image."""
    return directory / "rootfs"


@dataclass(frozen=True, kw_only=True)
class Stemcell:
    """
    A stemcell that VMs can be made from.

    @ivar cid: its C{stemcell_cid}.
    @ivar path: its directory.
    @ivar rootfs: its root file system; stemcells of one image share one.
    @ivar image: which image it is made of, or L{None} if an older daemon did not note it
        and the root file system is the stemcell's own.
    @ivar features: what matters of the root file system.
    @ivar cloud_properties: as they came with the call that made it.
    @ivar created_at: when it was made, in ISO 8601.
    """

    cid: str
    path: Path
    rootfs: Path
    image: Content | None
    features: Features
    cloud_properties: Mapping[str, Any]
    created_at: str

    @classmethod
    def load(cls, path: Path, image_rootfs: Callable[[str], Path]) -> Stemcell:
        """
        Read the record of the stemcell in a directory.

        @param path: the directory.
        @param image_rootfs: tells where the root file system of an image is, by the
            image's digest.
        @raise OSError: if there is no record.
        @raise ValueError: if it is not a record of this version.
        """
        record = read_record(record_path(path))
        if record.get("schema") != SCHEMA:
            raise ValueError(f"schema {record.get('schema')!r}; {SCHEMA} is known")
        try:
            image = None
            if record["image"] is not None:
                image = Content(record["image"], record.get("image_size"))
            return cls(
                cid=record["stemcell_cid"],
                path=path,
                rootfs=image_rootfs(image.digest) if image else rootfs_path(path),
                image=image,
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
            "image": self.image and self.image.digest,
            "image_size": self.image and self.image.size,
            "features": self.features.to_json(),
            "cloud_properties": dict(self.cloud_properties),
            "created_at": self.created_at,
        }
