"""A director's directory: it is its owner's alone, locked, and backed up."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from runc_cpi.ctl.director import directory as module
from runc_cpi.ctl.director.director import kept_settings
from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.settings import Settings


def test_for_the_owner_alone(directory: StateDirectory) -> None:
    """Nobody else can look into it, whatever its mode was before."""
    directory.path.chmod(0o755)
    directory.prepare()
    assert directory.path.stat().st_mode & 0o777 == 0o700
    directory.write(directory.variables, "a: 1\n")
    assert directory.variables.stat().st_mode & 0o777 == 0o600
    assert directory.variables.read_text() == "a: 1\n"


def test_what_cannot_be_made(tmp_path: Path) -> None:
    """The path and the reason are named."""
    (tmp_path / "file").touch()
    with pytest.raises(click.ClickException) as refused:
        StateDirectory(tmp_path / "file" / "state").prepare()
    assert refused.value.message == f"--state-dir: {tmp_path}/file/state: Not a directory"


@pytest.mark.parametrize("name", ["settings.json", "lock", "vars.yml"])
def test_a_directory_of_others(name: str, tmp_path: Path) -> None:
    """It is refused as it is, also with a file of a usual name."""
    tmp_path.chmod(0o755)
    (tmp_path / name).write_text("{}")
    with pytest.raises(click.ClickException, match="has files, and none of a director"):
        StateDirectory(tmp_path).prepare()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_settings_of_another_program(tmp_path: Path) -> None:
    """They are no director's, so there is nothing to destroy."""
    (tmp_path / "settings.json").write_text('{"editor.fontSize": 12}')
    with pytest.raises(click.ClickException, match="has no director"):
        kept_settings(StateDirectory(tmp_path))


def test_an_earlier_directory(tmp_path: Path) -> None:
    """A version that marked no lock has left settings, by which it is known."""
    (tmp_path / "settings.json").write_text(Settings().to_json())
    (tmp_path / "lock").touch()
    StateDirectory(tmp_path).prepare()
    assert StateDirectory(tmp_path).is_ours


def test_the_end(directory: StateDirectory) -> None:
    """Only what is ours goes, and what is left is told."""
    directory.write(directory.settings, Settings().to_json())
    (directory.path / "bosh-deployment-1").mkdir()
    mine = directory.path / "mine"
    mine.touch()
    assert directory.remove() == ["mine"]
    assert list(directory.path.iterdir()) == [mine]
    mine.unlink()
    assert directory.remove() == []
    assert not directory.path.exists()


def test_two_at_a_time(directory: StateDirectory) -> None:
    """The second command is told, and the directory is free afterwards."""
    other = StateDirectory(directory.path)
    with (
        directory.locked(),
        pytest.raises(click.ClickException) as refused,
        other.locked(),
    ):
        pass
    assert "another runc-cpictl director, or a program" in refused.value.message
    with directory.locked():
        pass


def test_backups(directory: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change is kept once, and only so many of them."""
    monkeypatch.setattr(module, "BACKUPS", 3)
    directory.back_up()
    assert not list(directory.backups.iterdir())
    for number in range(5):
        directory.write(directory.credentials, f"password: {number}\n")
        directory.back_up()
        directory.back_up()
    copies = sorted(directory.backups.iterdir())
    found = [(copy / "creds.yml").read_text() for copy in copies]
    assert found == [f"password: {number}\n" for number in (2, 3, 4)]
    assert (copies[0] / "creds.yml").stat().st_mode & 0o777 == 0o600


def test_a_backup_that_was_broken_off(directory: StateDirectory) -> None:
    """It does not stand in the way of the next."""
    draft = directory.backups / ".20260101T000000Z-00"
    draft.mkdir()
    directory.write(directory.state, "{}")
    directory.back_up()
    directory.back_up()
    assert len([c for c in directory.backups.iterdir() if c != draft]) == 1


def test_writing_that_is_broken_off(
    directory: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there before stays as a whole."""
    directory.write(directory.state, "old")

    def crash(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="No space left"):
        directory.write(directory.state, "new")
    assert directory.state.read_text() == "old"
