"""Files that are copied into a VM and out of it: links, sizes, and what is no file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runc_cpi.ctl.copying import TooLarge, copy_in, copy_out
from runc_cpi.ctl.inside import Files
from runc_cpi.ctl.logs import MOST_FILES, MOST_JOBS, log_files
from runc_cpi.ctl.room import room_of
from runc_cpi.daemon.storage.tree import Tree
from tests.unit.ctl.invoking import Tool

VM_CID = "vm-01234567-89ab-cdef-0123-456789abcdef"
LIMIT = 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of a VM."""
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def files(root: Path) -> Iterator[Files]:
    """The files of a VM."""
    with Tree.at(root) as tree:
        yield Files(tree=tree, owner=os.geteuid())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of the host."""
    path = tmp_path / "source"
    path.write_bytes(b"x" * LIMIT)
    path.chmod(0o640)
    return path


@pytest.mark.parametrize("name", ["/d/new", "d/source", "/d", "/d/", "/l/new", "/d/../new"])
def test_in(files: Files, root: Path, source: Path, name: str) -> None:
    """A file gets where its path leads in the VM; in a directory it has its own name."""
    (root / "d").mkdir()
    (root / "l").symlink_to("/d")
    assert copy_in(source, files, name, LIMIT) == LIMIT
    (found,) = (path for path in root.rglob("*") if path.is_file())
    assert found.name == ("new" if name.endswith("new") else "source")
    assert found.stat().st_mode & 0o7777 == 0o640


@pytest.mark.parametrize("name", ["/out/x", "/out", "/none/x"])
def test_in_and_no_way_out(
    files: Files, root: Path, tmp_path: Path, source: Path, name: str
) -> None:
    """A link of a VM to a path of the host leads to the VM's own path of that name."""
    (root / "out").symlink_to(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    if name == "/out":
        copy_in(source, files, name, LIMIT)
        assert not (root / "out").is_symlink()
        assert (root / "out").read_bytes() == source.read_bytes()
    else:
        with pytest.raises(FileNotFoundError):
            copy_in(source, files, name, LIMIT)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_too_large(files: Files, root: Path, tmp_path: Path, source: Path) -> None:
    """Nothing is left of a file that is too large."""
    with pytest.raises(TooLarge):
        copy_in(source, files, "/x", LIMIT - 1)
    assert list(root.iterdir()) == []
    (root / "large").write_bytes(b"x" * LIMIT)
    with pytest.raises(TooLarge):
        copy_out(files, "/large", tmp_path / "target", LIMIT - 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root", "source"]


def test_out(files: Files, root: Path, tmp_path: Path) -> None:
    """A file of a VM gets to a path, or into a directory by its own name."""
    (root / "f").write_bytes(b"content")
    (root / "f").chmod(0o4755)
    (root / "l").symlink_to("/f")
    assert copy_out(files, "/f", tmp_path / "new", LIMIT) == 7
    assert (tmp_path / "new").stat().st_mode & 0o7777 == 0o755
    copy_out(files, "l", tmp_path, LIMIT)
    assert (tmp_path / "l").read_bytes() == b"content"


def test_out_over_what_is_no_file(files: Files, root: Path, tmp_path: Path) -> None:
    """A pipe, a directory or a link of the host stays what it is."""
    (root / "f").write_bytes(b"content")
    (tmp_path / "file").write_bytes(b"old")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "nowhere").symlink_to(tmp_path / "none")
    (tmp_path / "d" / "f").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    for name in ("pipe", "link", "nowhere", "d"):
        with pytest.raises(OSError, match="is no ordinary file; name a file or a dir"):
            copy_out(files, "/f", tmp_path / name, LIMIT)
    with pytest.raises(OSError, match="is no ordinary file"):
        copy_out(files, "/f", Path("/dev/stdout"), LIMIT)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"old"
    copy_out(files, "/f", tmp_path / "file", LIMIT)
    assert (tmp_path / "file").read_bytes() == b"content"


def test_errors_name_the_file(files: Files, root: Path, tmp_path: Path) -> None:
    """An error names the path that was asked for, and not the draft's."""
    (root / "f").write_bytes(b"content")
    with pytest.raises(FileNotFoundError) as caught:
        copy_out(files, "/f", tmp_path / "none" / "f", LIMIT)
    assert caught.value.filename == str(tmp_path / "none" / "f")
    (root / "d" / "f").mkdir(parents=True)
    with pytest.raises(IsADirectoryError) as refused:
        copy_in(root / "f", files, "/d", LIMIT)
    assert refused.value.filename == "/d/f"


@pytest.mark.parametrize("name", ["/d", "/pipe", "/null", "/none", "/d/..", "/"])
def test_out_of_what_is_no_file(
    files: Files, root: Path, tmp_path: Path, name: str
) -> None:
    """Directories, pipes and devices of a VM are not even opened."""
    (root / "d").mkdir()
    (root / "null").symlink_to("/d")
    os.mkfifo(root / "pipe")
    with pytest.raises(OSError):
        copy_out(files, name, tmp_path, LIMIT)
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_a_source_that_is_no_file(files: Files, tmp_path: Path) -> None:
    """Only an ordinary file of the host is copied."""
    for source in (tmp_path, Path("/dev/null"), tmp_path / "none"):
        with pytest.raises(OSError):
            copy_in(source, files, "/x", LIMIT)


@pytest.mark.parametrize(
    "arguments",
    [
        ["a", "b"],
        [f"{VM_CID}:/a", f"{VM_CID}:/b"],
        ["vm-1:/a", "b"],
        [f"{VM_CID}:", "b"],
        ["a"],
        ["--limit=0", "a", f"{VM_CID}:/b"],
    ],
    ids=" ".join,
)
def test_command_lines(tool: Tool, arguments: list[str]) -> None:
    """One of the two paths is a VM's, and the other is not."""
    assert "Try runc-cpictl cp --help." in tool.refusal("cp", *arguments)


def test_logs(files: Files, root: Path) -> None:
    """The logs of the agent and of jobs are found, and nothing that is no file."""
    assert list(log_files(files.tree)) == []
    jobs = root / "var/vcap/data/sys/log"
    for job in ("b", "a"):
        (jobs / job).mkdir(parents=True)
        (jobs / job / f"{job}.log").touch()
        (jobs / job / "other.txt").touch()
    os.mkfifo(jobs / "a" / "pipe.log")
    (root / "var/vcap/sys").symlink_to("/var/vcap/data/sys")
    (root / "var/vcap/bosh/log").mkdir(parents=True)
    (root / "var/vcap/bosh/log/current").touch()
    assert list(log_files(files.tree)) == [
        "var/vcap/bosh/log/current",
        "var/vcap/sys/log/a/a.log",
        "var/vcap/sys/log/b/b.log",
    ]


def test_logs_without_end(files: Files, root: Path) -> None:
    """However much a VM has where its logs are, only so much is looked at."""
    for number in range(MOST_JOBS + 20):
        job = root / "var/vcap/sys/log" / f"{number:03}"
        job.mkdir(parents=True)
        for name in ("1.log", "2.log") if number > 20 else ():
            (job / name).touch()
    opened: list[str] = []

    class Counting(Tree):
        def open(self, name: str, flags: int, mode: int = 0) -> int:
            opened.append(name)
            return super().open(name, flags, mode)

    with Tree.at(root) as tree:
        counting = Counting(tree._root)
        assert len(list(log_files(counting))) == MOST_FILES
    # Each directory, and each file that is told, is opened once.
    assert len(opened) < MOST_JOBS + MOST_FILES


def test_room(tmp_path: Path) -> None:
    """What has two names is counted once, and what a link leads to not at all."""
    (tmp_path / "t").mkdir()
    empty = room_of(tmp_path / "t")
    (tmp_path / "t" / "a").write_bytes(b"x" * 8192)
    os.link(tmp_path / "t" / "a", tmp_path / "t" / "b")
    (tmp_path / "t" / "l").symlink_to("/usr")
    assert 8192 <= room_of(tmp_path / "t") - empty < 16384
    assert room_of(tmp_path / "none") == 0
