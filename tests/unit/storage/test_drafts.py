"""Directories in scratch: they appear whole, and vanish in one step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from runc_cpi.daemon.storage import drafts
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.drafts import new_draft, new_trash, publish, set_aside


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    """Return a depot that is prepared."""
    depot = Depot(tmp_path)
    depot.prepare()
    yield depot
    depot.release()


def test_what_is_made_appears_whole(depot: Depot) -> None:
    """A draft is made in scratch, and is whole when it appears in its place."""
    scratch = new_draft(depot.scratch)
    assert scratch.parent == depot.scratch
    (scratch / "part").touch()
    publish(scratch, depot.stemcells / "s")
    assert os.listdir(depot.stemcells / "s") == ["part"]
    assert not scratch.exists()


def test_what_is_removed_vanishes_at_once(depot: Depot) -> None:
    """A directory that is set aside is in scratch, under a name of its own."""
    trash = {new_trash(depot.scratch) for _ in range(2)}
    for path in trash:
        (depot.vms / "vm-1").mkdir()
        set_aside(depot.vms / "vm-1", path)
    assert not (depot.vms / "vm-1").exists()
    assert set(depot.scratch.iterdir()) == trash
    assert len(trash) == 2


def test_what_may_come_back_is_put_back(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk fails before the removal lasts, the directory is in its place again."""
    (depot.disks / "disk-1").mkdir()
    monkeypatch.setattr(drafts, "sync_directory", Mock(side_effect=OSError(5, "no")))
    with pytest.raises(OSError, match="no"):
        set_aside(depot.disks / "disk-1", new_trash(depot.scratch))
    assert os.listdir(depot.disks) == ["disk-1"]
    assert os.listdir(depot.scratch) == []
