"""The start of a container that runc made: the far end of its fifo is played here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runc_cpi.daemon.host.oci import exec_fifo
from runc_cpi.errors import HostShort

SECONDS = 60.0  # as long as a start may take


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
    assert exec_fifo.let_run(state, waiting.pid, SECONDS)
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == b"runs\n"
    assert not (state / exec_fifo.NAME).exists()
    assert not exec_fifo.let_run(state, waiting.pid, SECONDS)


def test_a_process_that_ended(state: Path) -> None:
    """Nobody is waited for that is gone; the runtime tells the reason."""
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert not exec_fifo.let_run(state, ended.pid, SECONDS)
    ended.wait()
    assert not exec_fifo.let_run(state, ended.pid, SECONDS)
    assert (state / exec_fifo.NAME).exists()


def test_a_process_that_comes_late(state: Path) -> None:
    """It is waited for as long as it may take, and goes on as if it had come at once."""
    script = 'read go; printf 0 >"$1"; echo runs; exec cat'
    argv = ["sh", "-c", script, "first", str(state / exec_fifo.NAME)]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(argv, stdin=pipe, stdout=pipe) as process,
        ThreadPoolExecutor(1) as thread,
    ):
        started = thread.submit(exec_fifo.let_run, state, process.pid, SECONDS)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"runs\n"
        assert started.result()
        process.kill()


def test_a_process_that_never_comes(state: Path) -> None:
    """One that does not write is given up, and a plain sentence says why."""
    with pytest.raises(HostShort) as caught:
        exec_fifo.let_run(state, os.getpid(), 0.01)
    assert str(caught.value).startswith(
        f"{state.name}: its first process did not write to exec.fifo within 0.01 s "
        "(runtime_timeout): "
    )
    assert (state / exec_fifo.NAME).exists()


def test_a_process_that_does_not_become_another(state: Path) -> None:
    """One that writes, and then stays what it is, is given up as well."""
    fifo = os.open(state / exec_fifo.NAME, os.O_RDWR)
    os.write(fifo, b"0")
    try:
        with pytest.raises(HostShort, match="become the VM's init within 0.01 s"):
            exec_fifo.let_run(state, os.getpid(), 0.01)
    finally:
        os.close(fifo)


def test_a_container_of_another_runtime(
    state: Path, waiting: subprocess.Popen[bytes]
) -> None:
    """A file of that name that is not runc's is not touched."""
    (state / "state.json").unlink()
    assert not exec_fifo.let_run(state, waiting.pid, SECONDS)
    with (state / exec_fifo.NAME).open() as fifo:
        assert fifo.read() == "0"
