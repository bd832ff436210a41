"""What the tool says of a daemon that lets it wait."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from runc_cpi.ctl.operator import Operator
from tests.harness.waiting import eventually


class Waiting:
    """A client who gets an answer once something was said, or at once if nothing is."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *, at_terminal: bool) -> None:
        self._capsys, self._at_terminal = capsys, at_terminal
        self.said = ""

    def call(self, _: str) -> dict[bytes, bytes]:
        """Listen for what is said."""
        if self._at_terminal:
            eventually(self._listen, "it is said that the tool waits")
        return {}

    def _listen(self) -> str:
        self.said += self._capsys.readouterr().err
        return self.said


@pytest.mark.parametrize("at_terminal", [True, False], ids=["terminal", "script"])
def test_waiting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, at_terminal: bool
) -> None:
    """Who sits at a terminal is told that the tool waits for the daemon."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: at_terminal, raising=False)
    operator: Any = Operator()
    operator.patience = 0.0 if at_terminal else 3600.0
    operator._client = client = Waiting(capsys, at_terminal=at_terminal)
    assert operator.ask("Ping") == {}
    assert client.said == ("waiting for runc-cpid to answer ...\n" if at_terminal else "")
