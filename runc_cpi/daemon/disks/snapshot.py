"""Snapshots: what each is, and of which disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import Self

from runc_cpi.daemon.disks.disk import SCHEMA, read_as


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """
    The record of a snapshot.

    @ivar disk_cid: the disk that it is a copy of.
    @ivar size: of the disk at that moment, in MiB.
    @ivar driver: which driver made it.
    @ivar filesystem: what is on it.
    @ivar metadata: what snapshot_disk was told.
    """

    snapshot_cid: str
    disk_cid: str
    size: int
    driver: str
    filesystem: str
    metadata: Mapping[str, Any]
    created_at: str

    def to_json(self) -> dict[str, Any]:
        """Return what is kept on disk."""
        return {"schema": SCHEMA, **vars(self)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """
        Read a record.

        @raise ValueError: if it is not one of this version.
        """
        return read_as(cls, record, "snapshot")
