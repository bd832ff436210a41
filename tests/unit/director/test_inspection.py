"""What C{status} shows, and the programs that C{ssh} and C{logs} become."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
import yaml

from runc_cpi.ctl.director import inspection
from runc_cpi.ctl.director.director import existing
from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.settings import Settings
from runc_cpi.ctl.operator import DEFAULT_CONFIG, Operator


class Became(Exception):
    """What this process would be now."""


@pytest.fixture
def directory(directory: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> StateDirectory:
    """The directory of a director with a jumpbox."""
    directory.write(directory.settings, Settings(systemd=False).to_json())
    ssh = {"private_key": "KEY", "public_key": "ssh-rsa"}
    known = {"admin_password": "p", "director_ssl": {"ca": "CA"}, "jumpbox_ssh": ssh}
    directory.write(directory.credentials, yaml.safe_dump(known))

    def become(program: str, argv: list[str]) -> None:
        raise Became(argv)

    monkeypatch.setattr(os, "execvp", become)
    return directory


def test_ssh(directory: StateDirectory) -> None:
    """With a jumpbox it is SSH, at the published port, with the director's own key."""
    with pytest.raises(Became) as became:
        inspection.become_ssh(Operator(), directory, ["ls", "-l"])
    (argv,) = became.value.args
    assert argv[:5] == ["ssh", "-i", str(directory.jumpbox_key), "-p", "2222"]
    assert argv[-3:] == ["jumpbox@127.0.0.1", "ls", "-l"]
    assert directory.jumpbox_key.read_text() == "KEY"


def test_logs_of_the_daemon(directory: StateDirectory) -> None:
    """They are in a file where systemd does not run it."""
    with pytest.raises(Became) as became:
        inspection.become_logs(Operator(), directory, 5, follow=True, daemon=True)
    (argv,) = became.value.args
    assert argv == ["tail", "-n", "5", "-F", str(directory.daemon_log)]


def test_the_daemons_configuration(directory: StateDirectory) -> None:
    """What C{up} was told of it holds until another is named."""
    usual, named = Operator(), Operator()
    named.config_file = "/somewhere/config.yml"
    assert existing(usual, directory).settings.config == DEFAULT_CONFIG
    existing(named, directory).keep()
    assert str(existing(usual, directory).files.config) == "/somewhere/config.yml"
    named.config_file = "/elsewhere/config.yml"
    assert str(existing(named, directory).files.config) == "/elsewhere/config.yml"


def test_without_a_vm(directory: StateDirectory) -> None:
    """It is said that there is none."""
    with pytest.raises(Exception, match="there is no VM of the director"):
        inspection.become_logs(Operator(), directory, 5, follow=False, daemon=False)


def test_status(
    directory: StateDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not up is down; that there are no features is no failure."""
    operator = Operator()
    operator.config_file = str(tmp_path / "config.yml")
    Path(operator.config_file).write_text(f"work_dir: {tmp_path / 'work'}\n")
    directory.write(directory.settings, Settings(systemd=False, features=()).to_json())
    with pytest.raises(click.exceptions.Exit):
        inspection.show_status(operator, directory)
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert [shown[key] for key in ("daemon", "vm", "director")] == ["down"] * 3
    assert shown["features"] == "none"
