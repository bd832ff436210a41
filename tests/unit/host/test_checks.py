"""What the host must have for the daemon to start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runc_cpi.daemon.host import checks


@pytest.mark.parametrize("name", ["no-such-runtime", "/no/such/runtime", "a file"])
def test_a_runtime_that_is_not_there(tmp_path: Path, name: str) -> None:
    """A runtime that is no program is refused, naming the key and what is accepted."""
    if name == "a file":
        name = str(tmp_path / "file")
        Path(name).touch(mode=0o644)
    with pytest.raises(checks.HostUnfit, match=f"^runtime: {name} .*runc"):
        checks.find_runtime(name)


def test_a_runtime_by_path(tmp_path: Path) -> None:
    """A runtime can be given by its path; whether it is one is not checked here."""
    program = tmp_path / "crun"
    program.touch(mode=0o755)
    assert checks.find_runtime(str(program)) == str(program)


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is not on the PATH is named."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(checks.HostUnfit, match="^tar is not on the PATH"):
        checks.check_programs()


def test_root_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user other than root is refused."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(checks.HostUnfit, match="^must run as root"):
        checks.check_root()
