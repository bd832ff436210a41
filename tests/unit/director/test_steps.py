"""Steps and the programs that they run: what is shown of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runc_cpi.ctl.director import making
from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.running import CommandFailed, Runner, lines_that_matter
from runc_cpi.ctl.director.steps import Step, StepFailed, perform
from runc_cpi.ctl.operator import Operator


def step(name: str, run: Callable[[], str]) -> Step:
    """Return a step."""
    return Step(name, f"do {name}", run, "look into it")


def test_a_failure(runner: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends the steps: the program's last lines are shown, and what to do."""
    script = "import sys; print('out'); print('\\x1bbad', file=sys.stderr); sys.exit(3)"
    taken = []

    def fails() -> str:
        runner.run("program", [sys.executable, "-c", script])
        return "never"

    steps = [step("a", lambda: "done"), step("b", fails), step("c", lambda: "no")]
    with pytest.raises(StepFailed) as failed:
        perform(steps, runner, "x up")
    message = failed.value.message
    assert message.startswith("b: python")
    assert "ended with status 3" in message
    assert message.endswith("\tWhat to do: look into it\n\tx up goes on from here.")
    told = capsys.readouterr().err
    taken = told.splitlines()
    assert taken[0] == "[1/3] a: do a ... done (0.0 s)"
    assert taken[1].startswith("[2/3] b: do b ... FAILED after ")
    assert sorted(taken[2:]) == ["    \\x1bbad", "    out"]


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_other_failures(runner: Runner, error: BaseException) -> None:
    """A full disk and Ctrl-C end a step like a failed program, without a traceback."""

    def fails() -> str:
        raise error

    with pytest.raises(StepFailed, match="goes on from here"):
        perform([step("a", fails)], runner, "x up")


def test_lines_that_matter() -> None:
    """Blank lines and progress are left out, and only the last are shown."""
    text = "\n".join(map(str, range(300)))
    assert lines_that_matter(text) == [str(number) for number in range(200, 300)]
    bars = "a\n\n  [======>     ] 10%\n 45%\nx\rDownloading\ry\n95% full, says df\n"
    assert lines_that_matter(bars) == ["a", "y", "95% full, says df"]


def test_the_environment_of_programs(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs find nothing of the operator's bosh, and what they write is for root."""
    monkeypatch.setenv("BOSH_ENVIRONMENT", "another")
    script = "import os; print(os.environ.get('BOSH_ENVIRONMENT'), os.umask(0))"
    told = runner.read("env", [sys.executable, "-c", script])
    assert told.split() == ["None", str(0o077)]


def test_a_failure_outside_of_a_step(tmp_path: Path) -> None:
    """What the program printed last is shown there as well."""
    bosh = tmp_path / "bosh"
    bosh.write_text("#!/bin/sh\necho 'no such path' >&2\nexit 1\n")
    bosh.chmod(0o755)
    (tmp_path / "bosh.yml").touch()
    operator = Operator()
    operator.config_file = str(tmp_path / "config.yml")
    directory = StateDirectory(tmp_path / "d")
    options = {"bosh_cli": str(bosh), "bosh_deployment": str(tmp_path)}
    with pytest.raises(CommandFailed) as failed:
        making.up(operator, directory, options, dry_run=True)
    message = failed.value.format_message()
    assert message.startswith("bosh ended with status 1; ")
    assert message.endswith("\n\tno such path")
    assert not directory.path.exists()


def test_a_program_that_is_missing(runner: Runner) -> None:
    """It is named."""
    with pytest.raises(CommandFailed) as failed:
        runner.run("x", ["/nonexistent/x"])
    assert failed.value.message == "/nonexistent/x: No such file or directory"


def test_the_last_line(runner: Runner) -> None:
    """What a program has printed last can be shown while it runs."""
    assert runner.last_line() == ""
    runner.run("x", ["printf", "one\ntwo\n"])
    assert runner.last_line() == "two"


def test_killed_while_a_program_runs(directory: StateDirectory, runner: Runner) -> None:
    """What it was at goes on, so the directory stays locked until that has ended."""
    with directory.locked():
        script = "import os; print(os.listdir('/proc/self/fd'))"
        told = runner.read("x", [sys.executable, "-c", script])
        (held,) = directory.held
        assert f"'{held}'" in told
    assert directory.held == ()
