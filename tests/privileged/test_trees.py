"""Trees with devices and mounts in them, which take root to make."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runc_cpi.daemon.storage.tree import Tree
from tests.unit.storage.test_tree import (
    assert_is_kept,
    assert_is_not_opened,
    root,
    tree,
)

__all__ = ["root", "tree"]


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[int]:
    """The number of a block device that must not be written to."""
    backing = tmp_path / "canary"
    backing.write_bytes(b"canary  " * 4096)
    before = backing.read_bytes()
    argv = ["losetup", "--find", "--show", str(backing)]
    device = subprocess.check_output(argv, text=True).strip()
    try:
        yield os.stat(device).st_rdev
        subprocess.run(["blockdev", "--flushbufs", device], check=True)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    assert backing.read_bytes() == before


def make_block_device(path: Path, device: int) -> None:
    """Make a node of a block device."""
    os.mknod(path, stat.S_IFBLK | 0o600, device)


def make_character_device(path: Path) -> None:
    """Make a node of the console."""
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(5, 1))


def test_a_block_device_is_not_opened(root: Path, tree: Tree, loop: int) -> None:
    """It is as if there was nothing; a write puts a file in its place."""
    assert_is_not_opened(root, tree, lambda path: make_block_device(path, loop))


def test_a_character_device_is_not_opened(root: Path, tree: Tree) -> None:
    """It is as if there was nothing; a write puts a file in its place."""
    assert_is_not_opened(root, tree, make_character_device)


def test_a_draft_that_is_a_block_device(root: Path, tree: Tree, loop: int) -> None:
    """A device that a VM puts where a draft is expected is not written to."""
    assert_is_kept(root, tree, lambda path: make_block_device(path, loop))


def test_a_draft_that_is_a_character_device(root: Path, tree: Tree) -> None:
    """A device that a VM puts where a draft is expected is not written to."""
    assert_is_kept(root, tree, make_character_device)


def test_what_is_mounted_is_not_removed(root: Path, tree: Tree, tmp_path: Path) -> None:
    """It is somebody's disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "data.pid").touch()
    point = root / "etc/a/b"
    point.mkdir(parents=True)
    subprocess.run(["mount", "--bind", disk, point], check=True)
    try:
        tree.remove_files("etc", ".pid")
        with pytest.raises(OSError, match="mounted there"):
            tree.remove("etc")
    finally:
        subprocess.run(["umount", point], check=True)
    assert (disk / "data.pid").exists()
    tree.remove("etc")
    assert not (root / "etc").exists()
