"""Tests of small parts, like those in tests/unit, which take root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def as_root() -> None:
    """Say what is wrong, where every test would fail in a way of its own."""
    assert os.geteuid() == 0, "these tests make devices and mounts; run them as root"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a directory that is cleared away: trial's C{mktemp} takes the current."""
    monkeypatch.chdir(tmp_path)
