"""What the daemon reads of a VM's files, and changes: all of it may be made up."""

from __future__ import annotations

import json
import os
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.daemon.vms.guest_files import (
    READ_LIMIT,
    agent_config,
    forget_managed_disk,
    hostname,
    managed_disk,
    told_addresses,
    told_disks,
)

AGENT = "var/vcap/bosh/agent.json"
SETTINGS = "var/vcap/bosh/warden-cpi-agent-env.json"
NOTE = "var/vcap/bosh/managed_disk_settings.json"
CONFIG = {"Platform": {"Linux": {"UseDefaultTmpDir": True}}, "Infrastructure": {"a": [1]}}


def write(root: Path, name: str, content: str | bytes) -> Path:
    """Write a file with its directories."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("binds", [True, False])
def test_the_agents_configuration(tmp_path: Path, binds: bool) -> None:
    """One key is set, and all others stay."""
    write(tmp_path, AGENT, json.dumps(CONFIG))
    (file,) = agent_config(tmp_path, binds=binds)
    assert file.name == AGENT
    changed: Any = json.loads(file.content)
    assert changed["Platform"]["Linux"].pop("BindMountPersistentDisk") is binds
    assert changed == CONFIG


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{ broken",
        "[]",
        "null",
        "{}",
        '{"Platform": null}',
        '{"Platform": {"Linux": 5}}',
        b"\xff\xfe",
        b" " * (READ_LIMIT + 1),
    ],
)
def test_one_that_cannot_be_changed(tmp_path: Path, content: str | bytes | None) -> None:
    """Whatever a stemcell holds there, it stays as it is, and a VM is made of it."""
    if content is not None:
        write(tmp_path, AGENT, content)
    assert agent_config(tmp_path, binds=True) == []


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_what_is_no_ordinary_file(tmp_path: Path, kind: str) -> None:
    """A pipe would keep the daemon waiting; a link leads nowhere outside."""
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
    """The agent's note names it, until it is forgotten."""
    with Tree.at(tmp_path) as tree:
        assert managed_disk(tree) is None
        forget_managed_disk(tree)
        write(tmp_path, NOTE, "disk-1\n")
        assert managed_disk(tree) == "disk-1"
        forget_managed_disk(tree)
        assert managed_disk(tree) is None


@pytest.mark.parametrize("content", ["", "\n", b"\xff\xff"])
def test_a_note_of_nothing(tmp_path: Path, content: str | bytes) -> None:
    """It names no disk that there could be."""
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
    """What the agent chose, if the kernel could take it for one."""
    write(tmp_path, "etc/hostname", content)
    with Tree.at(tmp_path) as tree:
        assert hostname(tree) == name


def test_pid_files_of_the_dead(tmp_path: Path) -> None:
    """They go at every depth; links are not followed, and nothing else is touched."""
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


@pytest.mark.parametrize(
    "content",
    [
        "[" * 200_000,
        '{"a":' * 200_000,
        "9" * 5000,
        '"\\ud800"',
        "[]",
        "null",
        "7",
        b"\xff",
        b"\0",
        b" " * (READ_LIMIT + 1),
        '{"disks": [], "networks": []}',
        '{"disks": null, "networks": {"a": 1, "b": null}}',
        '{"disks": {"persistent": {}}, "networks": {"a": {"ip": ["10.0.0.2"]}}}',
        '{"disks": {"persistent": {}}, "networks": {"a": {"ip": "x"}, "b": {"ip": 1e999}}}',
    ],
)
def test_settings_that_are_none(tmp_path: Path, content: str | bytes) -> None:
    """A VM can write what it likes there, and is told anew."""
    write(tmp_path, SETTINGS, content)
    with Tree.at(tmp_path) as tree:
        assert told_disks(tree) == {}
        assert told_addresses(tree) == []


def test_addresses_in_the_settings(tmp_path: Path) -> None:
    """Those on the interface are told, and no virtual ones."""
    networks = {
        "a": {"ip": "10.0.0.2", "type": "manual"},
        "b": {"ip": "192.0.2.1", "type": "vip"},
        "c": {"ip": "bad"},
    }
    write(tmp_path, SETTINGS, json.dumps({"networks": networks}))
    with Tree.at(tmp_path) as tree:
        assert told_addresses(tree) == [IPv4Address("10.0.0.2")]
