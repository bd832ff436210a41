"""Records: JSON files that a crash leaves whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE_MODE = 0o600
DRAFT = ".new"


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """
    Write a JSON file whole or not at all.

    A reader, and a crash at any moment, sees the old content or the new.
    """
    draft = path.with_name(path.name + DRAFT)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    with open(fd, "w", encoding="utf-8") as file:
        json.dump(record, file)
        file.flush()
        os.fsync(fd)
    draft.rename(path)
    sync_directory(path.parent)


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


def sync_directory(path: Path) -> None:
    """Bring a directory's entries to the disk (fsync(2), NOTES)."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
