"""What a VM left in its file system, any of which it can have made up."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.daemon.vms.files.guest_files import agent_config
from runc_cpi.daemon.vms.files.last_run import (
    forget_managed_disk,
    hostname,
    make_mount_points,
    managed_disk,
)
from tests.harness.trees import write

AGENT = "var/vcap/bosh/agent.json"
NOTE = "var/vcap/bosh/managed_disk_settings.json"


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_what_is_no_ordinary_file(tmp_path: Path, kind: str) -> None:
    """What is no regular file is not read: a pipe would block, a link could lead out."""
    secret = write(tmp_path, "host/secret", "disk-1")
    root = tmp_path / "root"
    for name in (AGENT, NOTE, "etc/hostname"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "link":
            path.symlink_to(secret)
        elif kind == "fifo":
            os.mkfifo(path)
        else:
            path.mkdir()
    assert agent_config(root, binds=True) == []
    with Tree.at(root) as tree:
        assert managed_disk(tree) is None
        assert hostname(tree) is None


def test_the_disk_that_was_mounted(tmp_path: Path) -> None:
    """The disk that the agent noted as mounted is known until the note is removed."""
    with Tree.at(tmp_path) as tree:
        assert managed_disk(tree) is None
        forget_managed_disk(tree)
        write(tmp_path, NOTE, "disk-1\n")
        assert managed_disk(tree) == "disk-1"
        forget_managed_disk(tree)
        assert managed_disk(tree) is None


@pytest.mark.parametrize("content", ["", "\n", b"\xff\xff"])
def test_a_note_of_nothing(tmp_path: Path, content: str | bytes) -> None:
    """A note of the agent that is empty or broken names no disk that there could be."""
    write(tmp_path, NOTE, content)
    with Tree.at(tmp_path) as tree:
        assert managed_disk(tree) in (None, "\ufffd\ufffd")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("3f0c1d2e-1111-2222-3333-444455556666\n", "3f0c1d2e-1111-2222-3333-444455556666"),
        ("db.example", "db.example"),
        ("x" * 63, "x" * 63),
        ("x" * 64, None),
        ("", None),
        ("-x", None),
        ("a b", None),
        ("a\nb", None),
        ("a/b", None),
        (b"\xff", None),
    ],
)
def test_the_host_name(tmp_path: Path, content: str | bytes, name: str | None) -> None:
    """The host name is what the agent chose, if the kernel could take it for one."""
    write(tmp_path, "etc/hostname", content)
    with Tree.at(tmp_path) as tree:
        assert hostname(tree) == name


def test_pid_files_of_the_dead(tmp_path: Path) -> None:
    """Pid files are removed at every depth, no link is followed, and nothing else goes."""
    outside = write(tmp_path, "host/other.pid", "1")
    root = tmp_path / "root"
    for name in ("run/a.pid", "run/b/c/d.pid"):
        write(root, name, "1")
    kept = [write(root, name, "") for name in ("run/a.pid.old", "run/b/pid", "etc/x.pid")]
    (root / "run/away").symlink_to(outside.parent)
    (root / "run/odd.pid").symlink_to(outside)
    with Tree.at(root) as tree:
        tree.remove_files("run", ".pid")
        tree.remove_files("no/such", ".pid")
    left = sorted(path.name for path in root.rglob("*.pid"))
    assert left == ["x.pid"]
    assert outside.exists()
    assert all(path.exists() for path in kept)


@pytest.mark.parametrize("layer", ["lower", "upper"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "file", "nothing"])
def test_what_is_mounted_on(tmp_path: Path, layer: str, kind: str) -> None:
    """/dev, /proc and /sys become directories of the VM's own, whatever was there."""
    lower, upper, outside = (tmp_path / name for name in ("lower", "upper", "outside"))
    for path in (lower, upper, outside):
        path.mkdir()
    for name in ("dev", "proc", "sys"):
        place = tmp_path / layer / name
        if kind == "file":
            place.write_text("")
        elif kind != "nothing":
            place.symlink_to(outside if kind == "link" else "/no/such")
    make_mount_points(lower, upper)
    for name in ("dev", "proc", "sys"):
        assert not (upper / name).is_symlink()
        assert stat.S_IMODE((upper / name).stat().st_mode) == 0o755
    assert list(outside.iterdir()) == []


def test_directories_are_left_alone(tmp_path: Path) -> None:
    """Directories of the stemcell or the VM that can be mounted on stay as they are."""
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    for path in (upper / "dev", lower / "proc", lower / "sys"):
        path.mkdir(parents=True)
    make_mount_points(lower, upper)
    assert [path.name for path in upper.iterdir()] == ["dev"]
