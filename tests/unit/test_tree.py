"""Looking into a tree that a stranger made: the kernel keeps every name inside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runc_cpi.daemon.storage.tree import Tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with a file, beside a file that must not be found."""
    (tmp_path / "secret").write_text("outside")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/file").write_text("inside")
    return root


@pytest.fixture
def tree(root: Path) -> Iterator[Tree]:
    """The tree, opened."""
    with Tree.at(root) as tree:
        yield tree


def read(tree: Tree, name: str) -> str:
    """Read a file of the tree."""
    with open(tree.open(name, os.O_RDONLY), encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize(
    "name", ["etc/file", "/etc/file", "../../etc/file", "etc/../etc/file"]
)
def test_names_start_at_the_trees_root(tree: Tree, name: str) -> None:
    """As they would after a chroot."""
    assert read(tree, name) == "inside"


@pytest.mark.parametrize("target", ["/etc/file", "etc/file", "../../../etc/file"])
def test_links_stay_inside(root: Path, tree: Tree, target: str) -> None:
    """An absolute one starts at the tree's root, dots end there."""
    (root / "link").symlink_to(target)
    assert read(tree, "link") == "inside"


@pytest.mark.parametrize("name", ["../secret", "link", "dir/secret", "up/secret"])
def test_nothing_outside_is_found(root: Path, tree: Tree, name: str) -> None:
    """By no way."""
    (root / "link").symlink_to(root.parent / "secret")
    (root / "dir").symlink_to(root.parent)
    (root / "up").symlink_to("..")
    with pytest.raises(FileNotFoundError):
        tree.open(name, os.O_RDONLY)
    assert tree.stat(name) is None
    assert tree.resolve(name) is None


def test_a_new_file_is_made_inside(root: Path, tree: Tree) -> None:
    """Also through a link that points out."""
    (root / "var").symlink_to(root.parent)
    (root / str(root.parent).lstrip("/")).mkdir(parents=True)
    os.close(tree.open("var/new", os.O_WRONLY | os.O_CREAT, 0o600))
    assert not (root.parent / "new").exists()


def test_magic_links_are_not_followed(root: Path, tree: Tree) -> None:
    """A mounted /proc would otherwise be a way out."""
    fd = os.open(root.parent, os.O_PATH)
    try:
        with (
            Tree.at(Path("/proc/self/fd")) as proc,
            pytest.raises(OSError, match="symbolic links"),
        ):
            proc.open(f"{fd}/secret", os.O_RDONLY)
    finally:
        os.close(fd)


def test_errors_are_those_of_open(root: Path, tree: Tree) -> None:
    """With number and name."""
    with pytest.raises(FileNotFoundError) as caught:
        tree.open("none", os.O_RDONLY)
    assert caught.value.filename == "none"
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        tree.open("a", os.O_RDONLY)


def test_resolve_names_what_is_there(root: Path, tree: Tree) -> None:
    """The last part of the real name, not that of the link."""
    (root / "one").symlink_to("/two")
    (root / "two").symlink_to("etc/file")
    assert tree.resolve("one") == "file"
    assert tree.resolve("etc/file") == "file"


def test_no_descriptor_stays_open(root: Path) -> None:
    """Neither of the tree nor of what was looked at."""
    before = len(os.listdir("/proc/self/fd"))
    with Tree.at(root) as tree:
        for name in ("etc", "etc/file", "none"):
            tree.stat(name)
            tree.resolve(name)
    assert len(os.listdir("/proc/self/fd")) == before


def test_descriptors_are_not_inherited(tree: Tree) -> None:
    """A child process never gets a way into the tree."""
    fd = tree.open("etc/file", os.O_RDONLY)
    try:
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)
