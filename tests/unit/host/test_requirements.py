"""What the host must have for the daemon to start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runc_cpi.daemon.host import requirements


@pytest.mark.parametrize("name", ["no-such-runtime", "/no/such/runtime", "a file"])
def test_a_runtime_that_is_not_there(tmp_path: Path, name: str) -> None:
    """A runtime that is no program is refused, naming the key and what is accepted."""
    if name == "a file":
        name = str(tmp_path / "file")
        Path(name).touch(mode=0o644)
    with pytest.raises(requirements.HostUnfit, match=f"^runtime: {name} .*runc"):
        requirements.find_runtime(name)


def test_a_runtime_by_path(tmp_path: Path) -> None:
    """A runtime can be given by its path; whether it is one is not checked here."""
    program = tmp_path / "crun"
    program.touch(mode=0o755)
    assert requirements.find_runtime(str(program)) == str(program)


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is not on the PATH is named."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(requirements.HostUnfit, match="^tar is not on the PATH"):
        requirements.check_programs()


def test_root_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user other than root is refused."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(requirements.HostUnfit, match="^must run as root"):
        requirements.check_root()


@pytest.mark.parametrize(
    ("name", "line", "start"),
    [
        ("passwd", "anna:x:65537:100::/home/anna:/bin/sh", 65537),
        ("group", "staff:x:131071:", 131071),
        ("subuid", "anna:50000:65536", 50000),
        ("subgid", "anna:100000:10", 100000),
    ],
)
def test_ids_of_users(tmp_path: Path, name: str, line: str, start: int) -> None:
    """Ids that a user of the host has are refused; the error names the user and file."""
    (tmp_path / name).write_text(f"# users\nroot:0:0\n+::::\n{line}\n")
    message = rf"^security\.ids: {line.partition(':')[0]} has {start} in .*{name}"
    with pytest.raises(requirements.HostUnfit, match=message):
        requirements.check_ids(65536, 131071, tmp_path)


def test_ids_of_nobody(tmp_path: Path) -> None:
    """Ids right beside those of users are free."""
    (tmp_path / "passwd").write_text("a:x:65535:1::/:/bin/sh\nb:x:131072:1::/:/bin/sh\n")
    (tmp_path / "subuid").write_text("a:0:65536\nb:131072:65536\n")
    requirements.check_ids(65536, 131071, tmp_path)
