"""Where the tests of behaviours work."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a directory that is cleared away: trial's C{mktemp} takes the current."""
    monkeypatch.chdir(tmp_path)
