"""Where the files of a disk and of a snapshot are."""

from __future__ import annotations

from pathlib import Path

_DISK_RECORD = "disk.json"
_SNAPSHOT_RECORD = "snapshot.json"
_IMAGE = "image"
_DATA = "data"


def disk_record(directory: Path) -> Path:
    """Return the record of the disk in C{directory}."""
    return directory / _DISK_RECORD


def snapshot_record(directory: Path) -> Path:
    """Return the record of the snapshot in C{directory}."""
    return directory / _SNAPSHOT_RECORD


def image_of(directory: Path) -> Path:
    """Return the file that holds a disk or a snapshot, with the driver C{image}."""
    return directory / _IMAGE


def data_of(directory: Path) -> Path:
    """Return the tree that is a disk or a snapshot, with the driver C{directory}."""
    return directory / _DATA
