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


def new_trash(scratch: Path) -> Path:
    """Return a path in C{scratch} for something that is to be removed."""
    return scratch / f"old-{uuid4()}"


def set_aside(place: Path, trash: Path, *, lasting: bool = True) -> None:
    """
    Take a directory out of its place, to be removed.

    @param trash: where it is then.
    @param lasting: whether a power cut must not undo that.
    @raise OSError: if that is not possible; it stays in its place.
    """
    place.rename(trash)
    if not lasting:
        return
    try:
        sync_directory(place.parent)
    except OSError:
        trash.rename(place)
        raise
