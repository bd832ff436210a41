"""The daemon's step of C{up}: it is started, restarted, taken over, or left to others."""

from __future__ import annotations

from pathlib import Path

import pytest

from runc_cpi import __version__
from runc_cpi.ctl.director.director import Director
from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.service import ProcessService, Service
from runc_cpi.ctl.director.settings import Settings
from runc_cpi.ctl.director.up import Up
from runc_cpi.ctl.operator import Operator


class Noting(Service):
    """
    A service that does nothing.

    @ivar done: what it was to do.
    """

    def __init__(self, *, runs: bool, current: bool = True) -> None:
        self._runs, self._current = runs, current
        self.done: list[str] = []

    def start(self) -> None:
        """Note it."""
        self.done.append("start")

    def restart(self) -> None:
        """Note it."""
        self.done.append("restart")

    def stop(self) -> None:
        """Note it."""
        self.done.append("stop")

    def remove(self) -> None:
        """Note it."""
        self.done.append("remove")

    def is_running(self) -> bool:
        """Whether it was said to."""
        return self._runs

    def is_current(self) -> bool:
        """Whether it was said to be."""
        return self._current

    def last_lines(self) -> list[str]:
        """Return nothing."""
        return []


@pytest.fixture
def director(directory: StateDirectory, tmp_path: Path) -> Director:
    """A director that is not made yet."""
    settings = Settings(config=str(tmp_path / "config.yml"))
    return Director(Operator(), directory, settings)


@pytest.mark.parametrize(
    ("service", "version", "done"),
    [
        pytest.param(Noting(runs=False), None, ["start"], id="none"),
        pytest.param(Noting(runs=True), None, ["restart"], id="no answer"),
        pytest.param(Noting(runs=True), __version__, ["start"], id="as it was"),
        pytest.param(Noting(runs=True), "0.0.1", ["restart"], id="another version"),
        pytest.param(
            *(Noting(runs=True, current=False), __version__, ["restart"]),
            id="another installation",
        ),
        pytest.param(Noting(runs=False), __version__, [], id="of others"),
    ],
)
def test_what_is_done(
    service: Noting,
    version: str | None,
    done: list[str],
    director: Director,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A daemon that is as it would be stays; start only has it there at the next boot."""
    monkeypatch.setattr(director, "service", service)
    monkeypatch.setattr(director, "daemon_version", lambda patience=0: version)
    monkeypatch.setattr(director, "wait_for_daemon", lambda: __version__)
    told = Up(director).daemon_step().run()
    assert service.done == done
    assert ("started by others" in told) == (not done)


def test_a_process_is_taken_over(
    director: Director, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an earlier C{up} has started as a process, systemd runs from now on."""
    service = Noting(runs=False)
    ended: list[str] = []
    monkeypatch.setattr(director, "service", service)
    monkeypatch.setattr(director, "daemon_version", lambda patience=0: __version__)
    monkeypatch.setattr(director, "wait_for_daemon", lambda: __version__)
    monkeypatch.setattr(ProcessService, "is_running", lambda self: True)
    monkeypatch.setattr(ProcessService, "stop", lambda self: ended.append("stop"))
    assert Up(director).daemon_step().run() == f"runc-cpid {__version__} started"
    assert (ended, service.done) == (["stop"], ["start"])


def test_new_certificates_need_another_daemon(
    director: Director, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that runs is restarted also if only they are new."""
    service = Noting(runs=True)
    monkeypatch.setattr(director, "service", service)
    files = next(step for step in Up(director).steps() if step.name == "files")
    for step in ("new", "as it was"):
        assert files.run().endswith(step)
    (director.files.certificates / "vars.yml").unlink()
    assert files.run().endswith("new")
    assert service.done == ["restart", "restart"]
