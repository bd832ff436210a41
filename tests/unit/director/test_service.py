"""The daemon as a service: what is written for systemd, and what systemd is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from runc_cpi.ctl.director import project
from runc_cpi.ctl.director import service as module
from runc_cpi.ctl.director.daemon_files import MARK
from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.running import CommandFailed, Runner
from runc_cpi.ctl.director.service import ProcessService, SystemdService, choose


class Systemd:
    """
    Stands in for systemctl.

    @ivar units: where units are.
    """

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.units, self._log = path / "units", path / "told"
        programs = path / "bin"
        for directory in (self.units, programs):
            directory.mkdir()
        program = programs / "systemctl"
        program.write_text(
            f'#!/bin/sh\n[ "$1" != reset-failed ] || exit 1\necho "$*" >>{self._log}\n'
            f'case $1 in is-*) [ -e {path}/"$1" ] ;; *) ! [ -e {path}/failing ] ;; esac\n'
        )
        self._path = path
        (programs / "journalctl").write_text("#!/bin/sh\necho logged\n")
        for each in programs.iterdir():
            each.chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        monkeypatch.setattr(module, "UNITS", self.units)
        monkeypatch.setattr(module, "INSTALLED", path / "installed.service")

    def is_now(self, *states: str) -> None:
        """Say from now on that the unit is C{enabled}, C{active}, or both."""
        for state in ("enabled", "active"):
            path = self._path / f"is-{state}"
            if state in states:
                path.touch()
            else:
                path.unlink(missing_ok=True)

    def told(self) -> list[str]:
        """Return what it was told since the last time, without questions."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        self._log.unlink(missing_ok=True)
        return [line for line in lines if not line.startswith("is-")]


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    """A host with systemd."""
    return Systemd(tmp_path, monkeypatch)


def test_a_unit_of_ours(systemd: Systemd, runner: Runner, tmp_path: Path) -> None:
    """It starts this installation's daemon, is written once, and removed in the end."""
    service = SystemdService(tmp_path / "config.yml", runner)
    service.start()
    unit = systemd.units / "runc-cpid.service"
    text = unit.read_text()
    daemon = Path(sys.executable).with_name("runc-cpid")
    assert text.startswith(MARK)
    assert f"\nExecStart={daemon} --config {tmp_path}/config.yml\n" in text
    assert text.count("ExecStart=") == 1
    assert "\nKillMode=process\n" in text
    assert unit.stat().st_mode & 0o777 == 0o644
    assert systemd.told() == ["daemon-reload", "enable --now runc-cpid.service"]
    assert not service.is_running()
    systemd.is_now("active")
    assert service.is_running()
    service.restart()
    told = ["enable runc-cpid.service", "restart runc-cpid.service"]
    assert systemd.told() == told
    service.start()
    assert systemd.told() == ["enable --now runc-cpid.service"]
    systemd.is_now("active", "enabled")
    service.start()
    assert systemd.told() == []
    assert service.is_current()
    unit.write_text(text.replace(str(daemon), "/opt/runc-cpi/old/runc-cpid"))
    assert not service.is_current()
    service.remove()
    assert systemd.told() == ["disable --now runc-cpid.service", "daemon-reload"]
    assert not unit.exists()
    service.remove()
    assert systemd.told() == []


def test_a_start_that_fails(systemd: Systemd, runner: Runner, tmp_path: Path) -> None:
    """The end of the daemon's journal is told."""
    (systemd.units / "runc-cpid.service").write_text("[Service]\n")
    (tmp_path / "failing").touch()
    with pytest.raises(CommandFailed) as failed:
        SystemdService(tmp_path / "config.yml", runner).start()
    assert failed.value.lines == ["logged"]


def test_a_unit_of_the_operator(systemd: Systemd, runner: Runner, tmp_path: Path) -> None:
    """It stays as it is."""
    unit = systemd.units / "runc-cpid.service"
    unit.write_text("[Service]\n")
    service = SystemdService(tmp_path / "config.yml", runner)
    service.start()
    service.remove()
    assert unit.read_text() == "[Service]\n"
    told = ["enable --now runc-cpid.service", "disable --now runc-cpid.service"]
    assert systemd.told() == told


def test_a_unit_of_an_installation(systemd: Systemd, runner: Runner) -> None:
    """It is used where it fits; with another configuration there is a unit of ours."""
    module.INSTALLED.touch()
    service = SystemdService(module.INSTALLED_CONFIG, runner)
    service.start()
    assert systemd.told() == ["enable --now runc-cpid.service"]
    assert not list(systemd.units.iterdir())
    SystemdService(Path("/other/config.yml"), runner).start()
    assert list(systemd.units.iterdir())


def test_a_path_that_systemd_cannot_start(
    systemd: Systemd, runner: Runner, tmp_path: Path
) -> None:
    """It is refused before anything is written."""
    with pytest.raises(click.ClickException, match="systemd cannot start what is there"):
        SystemdService(tmp_path / "a b" / "config.yml", runner).start()
    assert not list(systemd.units.iterdir())


def test_which_is_chosen(
    systemd: Systemd,
    runner: Runner,
    directory: StateDirectory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a word, systemd runs the daemon where it is the host's."""
    config = tmp_path / "config.yml"
    for path, expected in ((tmp_path, SystemdService), (tmp_path / "no", ProcessService)):
        monkeypatch.setattr(module, "BOOTED", path)
        assert type(choose(None, config, directory, runner)) is expected
    assert type(choose(False, config, directory, runner)) is ProcessService
    assert type(choose(True, config, directory, runner)) is SystemdService


def test_a_program_of_an_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found by the link, which leads to the next version one day."""
    monkeypatch.setattr(project, "INSTALLATIONS", tmp_path)
    for version in ("1", "2"):
        (tmp_path / version / ".venv" / "bin").mkdir(parents=True)
        (tmp_path / version / ".venv" / "bin" / "runc-cpid").touch()
    monkeypatch.setattr(sys, "executable", f"{tmp_path}/1/.venv/bin/python")
    assert project.program("runc-cpid") == tmp_path / "1" / ".venv" / "bin" / "runc-cpid"
    (tmp_path / "current").symlink_to("1")
    before = project.installation("runc-cpid")
    program = tmp_path / "current" / ".venv" / "bin" / "runc-cpid"
    assert project.program("runc-cpid") == program
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("2")
    assert project.installation("runc-cpid") != before


def test_a_process_of_an_earlier_version(directory: StateDirectory, tmp_path: Path) -> None:
    """It is known by what was noted when it was started."""
    service = ProcessService(tmp_path / "config.yml", directory)
    directory.daemon_pid.write_text(f"1 birth {project.installation('runc-cpid')}\n")
    assert service.is_current()
    for noted in ("1 birth /opt/runc-cpi/old/.venv/bin\n", "1 birth\n", ""):
        directory.daemon_pid.write_text(noted)
        assert not service.is_current()


def test_a_pid_that_is_anothers(directory: StateDirectory, tmp_path: Path) -> None:
    """After a reboot, another process may have the pid of the file; it is left alone."""
    service = ProcessService(tmp_path / "config.yml", directory)
    assert not service.is_running()
    with subprocess.Popen(["sleep", "60"]) as other:
        directory.daemon_pid.write_text(f"{other.pid} another-birth\n")
        assert not service.is_running()
        service.stop()
        assert other.poll() is None
        other.send_signal(signal.SIGKILL)
    assert not directory.daemon_pid.exists()
