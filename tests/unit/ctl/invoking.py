"""Runs C{runc-cpictl} in this process."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from runc_cpi.ctl.__main__ import main


class Outcome(NamedTuple):
    """How the tool ended, and what it printed."""

    status: int
    stdout: str
    stderr: str


class Tool:
    """Runs the tool with a command line."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> Outcome:
        """Run it, and return how it ended."""
        self._monkeypatch.setattr("sys.argv", ["runc-cpictl", *map(str, arguments)])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        status = ended.value.code or 0
        assert isinstance(status, int), status
        return Outcome(status, *self._capsys.readouterr())

    def refusal(self, *arguments: object) -> str:
        """Run it, see that it does not like the command line, and return why."""
        outcome = self(*arguments)
        assert (outcome.status, outcome.stdout) == (2, ""), outcome
        assert "Traceback" not in outcome.stderr
        return outcome.stderr
