"""The start of a container that runc made: the far end of its fifo is played here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runc_cpi.daemon.host.oci import exec_fifo


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """What runc keeps of a container that waits."""
    (tmp_path / "state.json").write_text("{}")
    os.mkfifo(tmp_path / exec_fifo.NAME)
    return tmp_path


@pytest.fixture
def waiting(state: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits like a container's first one."""
    script = 'printf 0 >"$1"; echo runs; exec cat'
    argv = ["sh", "-c", script, "first", str(state / exec_fifo.NAME)]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe) as process:
        yield process
        process.kill()


def test_a_process_that_waits_runs_then(
    state: Path, waiting: subprocess.Popen[bytes]
) -> None:
    """It goes on, and what made it wait is gone, so that it is not started twice."""
    assert exec_fifo.let_run(state, waiting.pid)
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == b"runs\n"
    assert not (state / exec_fifo.NAME).exists()
    assert not exec_fifo.let_run(state, waiting.pid)


def test_a_process_that_ended(state: Path) -> None:
    """Nobody is waited for that is gone; the runtime tells the reason."""
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert not exec_fifo.let_run(state, ended.pid)
    ended.wait()
    assert not exec_fifo.let_run(state, ended.pid)
    assert (state / exec_fifo.NAME).exists()


def test_a_process_that_never_comes(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not write is given up."""
    monkeypatch.setattr(exec_fifo, "PATIENCE", 0.01)
    assert not exec_fifo.let_run(state, os.getpid())


def test_a_container_of_another_runtime(
    state: Path, waiting: subprocess.Popen[bytes]
) -> None:
    """A file of that name that is not runc's is not touched."""
    (state / "state.json").unlink()
    assert not exec_fifo.let_run(state, waiting.pid)
    with (state / exec_fifo.NAME).open() as fifo:
        assert fifo.read() == "0"
