"""The tool itself, for tests of its command line."""

from __future__ import annotations

import pytest

from tests.unit.ctl.invoking import Tool


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tool:
    """Run C{runc-cpictl} in this process."""
    return Tool(monkeypatch, capsys)
