"""Persistent disks: what each is, and to which VM it belongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from typing_extensions import Self

from runc_cpi.errors import InvalidArgument

SCHEMA = 1
FILESYSTEMS = ("ext4", "xfs")
MAXIMUM_SIZE = 1 << 28  # MiB

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Disk:
    """
    The record of a disk.

    @ivar size: MiB.
    @ivar driver: which driver made it.
    @ivar filesystem: what is on it.
    @ivar attached_to: the VM that has it, or L{None}.
    @ivar in_settings: whether the agent's settings file names it, as agents need that
        are not told by the Director (contract version 1).
    @ivar metadata: what set_disk_metadata last said.
    """

    disk_cid: str
    size: int
    driver: str
    filesystem: str
    cloud_properties: Mapping[str, Any]
    created_at: str
    attached_to: str | None = None
    in_settings: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what is kept on disk."""
        return {"schema": SCHEMA, **vars(self)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """
        Read a record.

        @raise ValueError: if it is not one of this version.
        """
        return read_as(cls, record, "disk")


def read_as(kind: type[T], record: Mapping[str, Any], noun: str) -> T:
    """
    Read the record of a disk or of a snapshot.

    @param noun: what it is, for the error.
    @raise ValueError: if it is not one of this version.
    """
    if record.get("schema") != SCHEMA:
        raise ValueError(f"schema {record.get('schema')!r}; {SCHEMA} is known")
    if not isinstance(record.get("disk_cid"), str):
        raise ValueError(f"not a {noun}'s record: no disk_cid")
    if not isinstance(record.get("size"), int):
        raise ValueError(f"not a {noun}'s record: no size")
    values = {name: value for name, value in record.items() if name != "schema"}
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"not a {noun}'s record: {error}") from None


@dataclass(frozen=True, kw_only=True)
class BootParts:
    """What a container's specification gets for the disks of the VM."""

    mounts: Sequence[Mapping[str, Any]] = ()
    devices: Sequence[Mapping[str, Any]] = ()
    rules: Sequence[Mapping[str, Any]] = ()


def check_size(name: str, size: Any) -> int:
    """
    Check a size in MiB.

    @raise InvalidArgument: if it is none.
    """
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size <= MAXIMUM_SIZE:
        raise InvalidArgument(
            f"{name}: {size!r} must be a whole number of MiB from 1 to {MAXIMUM_SIZE}"
        )
    return size


def check_filesystem(cloud_properties: Any, default: str) -> str:
    """
    Return the file system that C{cloud_properties} ask for.

    @raise InvalidArgument: if there is no such thing.
    """
    if not isinstance(cloud_properties, dict):
        raise InvalidArgument("cloud_properties: must be an object")
    filesystem = cloud_properties.get("filesystem", default)
    if filesystem not in FILESYSTEMS:
        choices = " or ".join(FILESYSTEMS)
        raise InvalidArgument(
            f"cloud_properties.filesystem: {filesystem!r} must be {choices}"
        )
    return str(filesystem)
