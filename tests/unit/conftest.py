"""What all unit tests share: where they work, and how hypothesis finds examples."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# No clock decides over a result, every run tries the same, and nothing is left on disk.
settings.register_profile(
    "runc-cpi", deadline=None, derandomize=True, database=None, max_examples=60
)
settings.load_profile("runc-cpi")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a directory that is cleared away: trial's C{mktemp} takes the current."""
    monkeypatch.chdir(tmp_path)
