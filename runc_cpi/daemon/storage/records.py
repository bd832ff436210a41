"""Records: JSON files that are whole after a crash at any moment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE_MODE = 0o600
# What the name of a record ends with while it is written.
DRAFT_SUFFIX = ".new"


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """
    Write a JSON file whole or not at all.

    Whoever reads it sees the old content or the new, also after a crash.

    @raise OSError: if it cannot be written; the old content stays.
    """
    write_draft(path, record)
    publish_draft(path)


def write_draft(path: Path, record: Mapping[str, Any]) -> None:
    """
    Have on the disk what a JSON file is to hold, and leave the file as it is.

    @raise OSError: if it cannot be written.
    """
    draft = _draft_of(path)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    with open(fd, "w", encoding="utf-8") as file:
        json.dump(record, file)
        file.flush()
        os.fsync(fd)


def publish_draft(path: Path) -> None:
    """
    Have a JSON file hold what its draft does; a power cut does not undo that.

    @raise OSError: if that is not possible.
    """
    _draft_of(path).rename(path)
    sync_directory(path.parent)


def _draft_of(path: Path) -> Path:
    return path.with_name(path.name + DRAFT_SUFFIX)


def read_record(path: Path) -> dict[str, Any]:
    """
    Read what L{write_record} wrote.

    @raise OSError: if it cannot be read.
    @raise ValueError: if it is no JSON object.
    """
    record = json.loads(path.read_text("utf-8"))
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    return record


def remove_drafts(*parents: Path) -> None:
    """
    Remove what a crash left of records that were being written.

    @param parents: directories whose subdirectories have records in them.
    @raise OSError: if one cannot be removed.
    """
    for parent in parents:
        for draft in parent.glob(f"*/*.json{DRAFT_SUFFIX}"):
            draft.unlink()


def sync_directory(path: Path) -> None:
    """
    Write a directory's entries to the disk (fsync(2), NOTES).

    @raise OSError: if that fails.
    """
    sync_file(path, os.O_DIRECTORY)


def sync_file(path: Path, flags: int = 0) -> None:
    """
    Write what is in a file to the disk.

    @raise OSError: if that fails.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
