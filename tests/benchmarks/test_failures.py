"""What fails is named, what was measured before is kept, and nothing else is left."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.benchmarks import __main__ as program
from tests.benchmarks.calls.crowds import Crowds
from tests.benchmarks.calls.rounds import Bench, Calls, Failed, Works
from tests.benchmarks.contenders import Contender, Refused
from tests.benchmarks.docker import end
from tests.benchmarks.machine import described
from tests.benchmarks.measuring import Work
from tests.benchmarks.own_mounts import own_mounts
from tests.benchmarks.results import BARE, OURS, Results, Unusable
from tests.benchmarks.run import Wanted
from tests.benchmarks.subjects import (
    CREATE_CROWD,
    CROWD,
    DELETE_CROWD,
    HAS_VM,
    INFO,
    PYTHON,
)
from tests.benchmarks.unpacking import file_system
from tests.harness.cpi import CPI
from tests.harness.images import PROJECT


class Answers(CPI):
    """
    Answers without a daemon.

    @param refused: a method, whose third call is refused.
    @ivar vms: those that were made, and were not deleted.
    """

    def __init__(self, refused: str) -> None:
        super().__init__(Path("none"))
        self._refused, self._count = refused, 0
        self.vms: set[str] = set()

    def start(
        self, method: str, *arguments: object, version: int = 2
    ) -> subprocess.Popen[str]:
        """Answer by a process, as an executable does."""
        error, result = None, f"{method}-{len(self.vms)}"
        self._count += method == self._refused
        if method == self._refused and self._count == 3:
            error = {"type": "Unknown", "message": "the third", "ok_to_retry": False}
        elif method == "create_vm":
            self.vms.add(result)
        elif method == "delete_vm":
            self.vms.remove(str(arguments[0]))
        answer = json.dumps({"result": [result, {}], "error": error, "log": ""})
        return subprocess.Popen(["echo", answer], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("method", ["create_vm", "delete_vm"])
def test_one_of_a_crowd_is_refused(method: str, tmp_path: Path) -> None:
    """All others are waited for, and every VM is deleted in the end."""
    answers = Answers(method)
    contender = Contender("answers", answers, tmp_path)
    crowds = Crowds(cast(Bench, None)).calls(contender)
    with pytest.raises(Refused, match="the third"), crowds as named:
        works = dict(named)
        try:
            works[CREATE_CROWD]()
            works[DELETE_CROWD]()
        finally:
            assert len(answers.vms) == (CROWD - 1 if method == "create_vm" else 1)
    assert answers.vms == set()


def succeed() -> float:
    """Take a millisecond."""
    return 1.0


def fail() -> float:
    """Fail as a tool does."""
    raise subprocess.CalledProcessError(1, ["tool"], stderr="there is\nno room\n")


def refuse() -> float:
    """Fail as a call does."""
    raise Refused("no VM is there")


@pytest.mark.parametrize(
    ("tool", "call", "message"),
    [
        (fail, succeed, f"{BARE} failed at {PYTHON}: .*tool.* there is no room"),
        (succeed, refuse, f"{OURS} failed at {HAS_VM}: no VM is there"),
    ],
    ids=["a tool", "a call"],
)
def test_failures_are_named(tool: Work, call: Work, message: str) -> None:
    """It is told who failed, at what and why."""

    class Some(Calls):
        names = (HAS_VM,)

        @contextmanager
        def bare(self) -> Iterator[Works]:
            yield [(PYTHON, tool)]

        @contextmanager
        def calls(self, contender: Contender) -> Iterator[Works]:
            yield [(INFO, succeed), (HAS_VM, call)]

    ours = SimpleNamespace(settle=lambda: None)
    bench = cast(Bench, SimpleNamespace(ours=ours, others=[], rounds=1))
    with pytest.raises(Failed, match=message):
        Some(bench).measure(Results())


def test_what_was_measured_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """After a failure there is a table, and a file, of what was measured before it."""
    path = tmp_path / "results.json"

    def measured(wanted: Wanted, results: Results, keep: Callable[[], None]) -> None:
        results.machine = described(tmp_path)
        results.samples[OURS] = {INFO: [11.0]}
        keep()
        raise Failed("runc-cpi failed at has_vm: why")

    monkeypatch.setattr(program, "measured", measured)
    monkeypatch.setattr("sys.argv", ["benchmark", "--json", str(path)])
    assert program.main() == 1
    output, complaint = capsys.readouterr()
    assert "11.0" in output
    assert complaint == "operations/benchmark: runc-cpi failed at has_vm: why\n"
    assert Results.read(path).samples == {OURS: {INFO: [11.0]}}


def test_a_process_that_does_not_end() -> None:
    """Who does not end is killed."""
    argv = ["sh", "-c", "trap '' TERM; echo; while :; do read line; done"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        end(process, 0.1)
    assert process.returncode == -9


def test_own_mounts(tmp_path: Path) -> None:
    """What is mounted in these threads is seen by all of them, and by nobody else."""
    with own_mounts(2) as threads:
        argv = ["mount", "-t", "tmpfs", "none", str(tmp_path)]
        threads.submit(subprocess.run, argv, check=True).result()
        assert threads.submit(tmp_path.is_mount).result()
        assert not tmp_path.is_mount()


@pytest.mark.parametrize(
    ("size", "error"), [(1 << 60, Unusable), (4096, subprocess.CalledProcessError)]
)
def test_a_file_system_that_cannot_be(
    size: int, error: type[Exception], tmp_path: Path
) -> None:
    """Without room, or if it is too small, nothing is left of it."""
    with pytest.raises(error), file_system(tmp_path, size):
        pass
    assert list(tmp_path.iterdir()) == []


def test_help_installs_nothing(tmp_path: Path) -> None:
    """The options are told before anything is done, wherever it is called from."""
    argv = [str(PROJECT / "operations" / "benchmark"), "--help"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--docker-cpi FILE" in done.stdout
