"""Files of a tree whose links are not trusted: no name leads out of the tree."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runc_cpi.daemon.storage.tree import Tree
from tests.harness import deep


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a tree with a file, beside a file that must not be found."""
    (tmp_path / "secret").write_text("outside")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/file").write_text("inside")
    return root


@pytest.fixture
def tree(root: Path) -> Iterator[Tree]:
    """Open the tree."""
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
    """Names start at the root of the tree, and dots do not lead above it."""
    assert read(tree, name) == "inside"


@pytest.mark.parametrize("target", ["/etc/file", "etc/file", "../../../etc/file"])
def test_links_stay_inside(root: Path, tree: Tree, target: str) -> None:
    """Links start at the root of the tree, and dots in them do not lead above it."""
    (root / "link").symlink_to(target)
    assert read(tree, "link") == "inside"


@pytest.mark.parametrize("name", ["../secret", "link", "dir/secret", "up/secret"])
def test_nothing_outside_is_found(root: Path, tree: Tree, name: str) -> None:
    """No name and no link finds a file outside of the tree."""
    (root / "link").symlink_to(root.parent / "secret")
    (root / "dir").symlink_to(root.parent)
    (root / "up").symlink_to("..")
    with pytest.raises(FileNotFoundError):
        tree.open(name, os.O_RDONLY)
    assert tree.stat(name) is None
    assert tree.resolve(name) is None


def test_a_new_file_is_made_inside(root: Path, tree: Tree) -> None:
    """A file made through a link that leads out is made in the tree."""
    (root / "var").symlink_to(root.parent)
    (root / str(root.parent).lstrip("/")).mkdir(parents=True)
    os.close(tree.open("var/new", os.O_WRONLY | os.O_CREAT, 0o600))
    assert not (root.parent / "new").exists()


def test_magic_links_are_not_followed(root: Path, tree: Tree) -> None:
    """Links of a mounted /proc, which could lead out, are not followed."""
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
    """An error has the number and the name that open(2) would give it."""
    with pytest.raises(FileNotFoundError) as caught:
        tree.open("none", os.O_RDONLY)
    assert caught.value.filename == "none"
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        tree.open("a", os.O_RDONLY)


def test_resolve_names_what_is_there(root: Path, tree: Tree) -> None:
    """To resolve a link returns the name of the file that it leads to."""
    (root / "one").symlink_to("/two")
    (root / "two").symlink_to("etc/file")
    assert tree.resolve("one") == "file"
    assert tree.resolve("etc/file") == "file"


def test_no_descriptor_stays_open(root: Path) -> None:
    """No descriptor stays open, neither of the tree nor of what was looked at."""
    before = len(os.listdir("/proc/self/fd"))
    with Tree.at(root) as tree:
        for name in ("etc", "etc/file", "none"):
            tree.stat(name)
            tree.resolve(name)
    assert len(os.listdir("/proc/self/fd")) == before


def test_descriptors_are_not_inherited(tree: Tree) -> None:
    """Children do not inherit descriptors of the tree."""
    fd = tree.open("etc/file", os.O_RDONLY)
    try:
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


def make_socket(path: Path) -> None:
    """Make a socket that nobody listens at."""
    os.mknod(path, stat.S_IFSOCK | 0o600)


def make_link(path: Path) -> None:
    """Make a link that leads nowhere but to a link to itself."""
    path.symlink_to("/loop")


def make_file(path: Path) -> None:
    """Make a file."""
    path.write_text("theirs")


# What acts, or waits, when it is opened.
KINDS = {"fifo": os.mkfifo, "socket": make_socket, "link to itself": make_link}


def assert_is_not_opened(root: Path, tree: Tree, make: Callable[[Path], object]) -> None:
    """What is made in a file's place is as if there was nothing; a write replaces it."""
    (root / "loop").symlink_to("/loop")
    (root / "etc/file").unlink()
    make(root / "etc/file")
    assert tree.read("etc/file", 100) is None
    tree.write("etc/file", "new")
    assert tree.read("etc/file", 100) == b"new"
    assert stat.S_ISREG((root / "etc/file").lstat().st_mode)


def assert_is_kept(root: Path, tree: Tree, make: Callable[[Path], object]) -> Path:
    """What is made where a draft is expected is not written to; return its path."""
    (root / "loop").symlink_to("/loop")
    expected = root / "etc/.file.new"
    make(expected)
    before = expected.lstat()
    tree.write("etc/file", "new")
    assert read(tree, "etc/file") == "new"
    assert expected.lstat().st_ino == before.st_ino
    return expected


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_not_opened(root: Path, tree: Tree, kind: str) -> None:
    """It is as if there was nothing; a write puts a file in its place."""
    assert_is_not_opened(root, tree, KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_draft_that_is_there_already(root: Path, tree: Tree, kind: str) -> None:
    """Whatever a VM puts where it expects one, it is not written to."""
    assert_is_kept(root, tree, KINDS[kind])


def test_a_draft_that_is_a_file(root: Path, tree: Tree) -> None:
    """A file that a VM puts where it expects a draft keeps its content."""
    draft = assert_is_kept(root, tree, make_file)
    assert draft.read_text() == "theirs"


def test_a_write_that_fails_leaves_nothing(root: Path, tree: Tree) -> None:
    """A write that fails leaves what was there, and no draft."""
    (root / "etc/dir").mkdir()
    with pytest.raises(IsADirectoryError):
        tree.write("etc/dir", "new")
    assert sorted(os.listdir(root / "etc")) == ["dir", "file"]


@pytest.mark.parametrize("depth", [1, 1500, 5000])
def test_depth_is_no_matter(root: Path, tree: Tree, depth: int) -> None:
    """A tree deeper than Python recurses, and than any path, is removed."""
    with deep.made_below(root / "etc", depth) as lowest:
        deep.write(lowest, "x.pid", "")
    (root / "etc/a.pid").touch()
    tree.remove_files("etc", ".pid")
    assert not (root / "etc/a.pid").exists()
    tree.remove("etc")
    assert list(root.iterdir()) == []


def test_a_directory_that_is_moved_away(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a directory is moved out of a tree, its removal does not go on outside."""
    outside = root.parent / "outside"
    (outside / "inner").mkdir(parents=True)
    (root / "etc/d/e/f").mkdir(parents=True)
    rmdir = os.rmdir
    moved: list[str] = []

    def moving(name: str, *, dir_fd: int) -> None:
        if not moved:
            moved.append(name)
            (root / "etc/d/e").rename(outside / "e")
        rmdir(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", moving)
    with Tree.at(root) as tree, pytest.raises(OSError, match="was moved"):
        tree.remove("etc")
    assert (outside / "inner").is_dir()
