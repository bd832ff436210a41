"""The daemon's step of C{up}: it is started, restarted, taken over, or left to others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runc_cpi import __version__
from runc_cpi.ctl.director.director import Director
from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.running import CommandFailed
from runc_cpi.ctl.director.service import ProcessService, Service
from runc_cpi.ctl.director.settings import Settings
from runc_cpi.ctl.director.up import Up
from runc_cpi.ctl.operator import Operator
from runc_cpi.errors import DaemonSilent, DaemonUnreachable


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


@pytest.mark.parametrize("runs", [True, False])
def test_a_silent_daemon(
    runs: bool, director: Director, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it is ours it is restarted; that of others is neither taken for none nor ended."""
    service = Noting(runs=runs)

    def ask(operator: Operator, command: str) -> None:
        raise DaemonSilent("gave up runc-cpid")

    director.files.config.write_text("{}")
    monkeypatch.setattr(Operator, "ask", ask)
    monkeypatch.setattr(director, "service", service)
    monkeypatch.setattr(director, "wait_for_daemon", lambda: __version__)
    step = Up(director).daemon_step()
    if runs:
        step.run()
    else:
        with pytest.raises(DaemonSilent):
            step.run()
    assert service.done == (["restart"] if runs else [])


def test_a_daemon_that_is_not_there(
    director: Director, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot be reached is none."""

    def ask(operator: Operator, command: str) -> None:
        raise DaemonUnreachable("cannot reach runc-cpid")

    director.files.config.write_text("{}")
    monkeypatch.setattr(Operator, "ask", ask)
    assert director.daemon_version() is None


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


def test_a_director_that_does_not_answer(
    director: Director, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for, and then what bosh says of it is shown, with what to do."""
    director.directory.write(
        director.directory.credentials,
        json.dumps({"admin_password": "x", "director_ssl": {"ca": "x"}}),
    )
    bosh, asked = tmp_path / "bosh", tmp_path / "asked"
    bosh.write_text(f"#!/bin/sh\necho x >>{asked}\necho 'connection refused' >&2\nexit 1\n")
    bosh.chmod(0o755)
    settings = replace(director.settings, bosh_cli=str(bosh))
    director = Director(Operator(), director.directory, settings)
    monkeypatch.setattr("runc_cpi.ctl.director.director.DIRECTOR_TIMEOUT", 0.5)
    step = Up(director).director_step()
    with pytest.raises(CommandFailed) as failed:
        step.run()
    assert failed.value.lines == ["connection refused"]
    assert asked.read_text().count("x") > 1
    assert "director logs --daemon" in step.advice


@pytest.mark.parametrize(
    ("vm_cid", "runs", "told", "asked"),
    [
        pytest.param(None, None, "there is none yet", [], id="none"),
        pytest.param("vm-1", True, "vm-1, as it was", [], id="runs"),
        pytest.param(
            *("vm-1", None, "the daemon has no vm-1 that it could boot", []), id="unknown"
        ),
        pytest.param("vm-1", False, "vm-1, booted", ["StartVM vm-1"], id="down"),
    ],
)
def test_a_vm_that_has_ended(
    vm_cid: str | None,
    runs: bool | None,
    told: str,
    asked: list[str],
    director: Director,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is booted, as bosh would wait in vain for the agent in it."""

    class Asking(Operator):
        def ask(self, name: str, **arguments: Any) -> dict[bytes, bytes]:
            done.append(f"{name} {arguments['vm_cid']}")
            return {}

    done: list[str] = []
    director.directory.write(
        director.directory.state, json.dumps({"current_vm_cid": vm_cid})
    )
    monkeypatch.setattr(director, "vm_runs", lambda: runs)
    monkeypatch.setattr(director, "operator", Asking)
    assert Up(director).vm_step().run() == told
    assert done == asked


@pytest.mark.parametrize(
    ("state", "runs"), [("running", True), ("ended", False), ("set_aside", None)]
)
def test_whether_the_vm_runs(
    state: str, runs: bool | None, director: Director, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a VM whose record cannot be read, and of one that is not there, nobody knows."""
    vm = {"vm_cid": "vm-1", "running": state == "running", "state": state}

    class Listing(Operator):
        def ask(self, name: str, **arguments: Any) -> dict[bytes, bytes]:
            return {b"vms": json.dumps([vm]).encode()}

    monkeypatch.setattr(director, "operator", Listing)
    assert director.vm_runs() is None
    director.directory.write(director.directory.state, '{"current_vm_cid": "vm-1"}')
    assert director.vm_runs() is runs
