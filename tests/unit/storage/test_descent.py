"""Walks through trees of directories: their order, their depth, and what they leave out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runc_cpi.daemon.storage.descent import Entered, Left, walk

DEPTH = 2100  # by names of two bytes, more than any path may have


def steps(top: Path) -> list[tuple[str, str]]:
    """Walk, and note of each step the name of the open directory."""
    found = []
    for step in walk(top):
        here = os.path.basename(os.readlink(f"/proc/self/fd/{step.fd}"))
        found.append(("in", here) if isinstance(step, Entered) else (here, step.name))
    return found


def test_order(tmp_path: Path) -> None:
    """A directory is entered before those below it, and left after them."""
    (tmp_path / "top" / "a" / "b").mkdir(parents=True)
    (tmp_path / "top" / "file").touch()
    expected = [("in", "top"), ("in", "a"), ("in", "b"), ("a", "b"), ("top", "a")]
    assert steps(tmp_path / "top") == expected


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A link to a directory is not walked."""
    (tmp_path / "elsewhere" / "below").mkdir(parents=True)
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "link").symlink_to(tmp_path / "elsewhere")
    assert steps(tmp_path / "top") == [("in", "top")]


def test_nothing(tmp_path: Path) -> None:
    """A walk through a directory that is not there has no steps."""
    assert steps(tmp_path / "none") == []


def test_depth(tmp_path: Path) -> None:
    """A tree deeper than any path is walked to its end, with few descriptors."""
    top = tmp_path / "top"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    entered = most = 0
    for step in walk(top):
        if isinstance(step, Left):
            os.rmdir(step.name, dir_fd=step.fd)
        else:
            entered += 1
            most = max(most, step.fd)
    assert entered == DEPTH + 1
    assert most < here + 10
    assert list(top.iterdir()) == []


def test_a_directory_that_is_moved_away(tmp_path: Path) -> None:
    """A directory that is moved out of the tree ends the walk, which does not follow it."""
    top, outside = tmp_path / "top", tmp_path / "outside"
    (top / "a" / "b").mkdir(parents=True)
    (outside / "inner").mkdir(parents=True)
    seen = []
    with pytest.raises(OSError, match="moved"):
        for step in walk(top):
            seen.append(os.readlink(f"/proc/self/fd/{step.fd}"))
            if seen[-1].endswith("/b"):
                (top / "a" / "b").rename(outside / "b")
    assert str(outside / "inner") not in seen
