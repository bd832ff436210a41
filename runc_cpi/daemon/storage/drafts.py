"""Directories that appear whole, and vanish in one step: each by a rename."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from runc_cpi.daemon.storage.records import sync_directory

DIRECTORY_MODE = 0o700


def new_draft(scratch: Path) -> Path:
    """
    Make a directory for something that is not whole yet.

    @param scratch: where to make it.
    @raise OSError: if it cannot be made.
    """
    draft = scratch / f"new-{uuid4()}"
    draft.mkdir(mode=DIRECTORY_MODE)
    return draft


def publish(draft: Path, place: Path) -> None:
    """
    Have a directory that is whole appear at C{place}; a power cut does not undo that.

    @raise OSError: if that is not possible.
    """
    sync_directory(draft)
    draft.rename(place)
    sync_directory(place.parent)


def set_aside(place: Path, scratch: Path, *, lasting: bool = True) -> Path:
    """
    Take a directory out of its place, to be removed.

    @param lasting: whether a power cut must not undo that.
    @return: where it is in C{scratch}.
    @raise OSError: if that is not possible; it stays in its place.
    """
    trash = scratch / f"old-{uuid4()}"
    place.rename(trash)
    if lasting:
        sync_directory(place.parent)
    return trash
