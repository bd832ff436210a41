"""Fixtures for tests of C{runc-cpictl director}."""

from __future__ import annotations

from pathlib import Path

import pytest

from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.running import Runner
from tests.unit.ctl.conftest import tool

__all__ = ["tool"]


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    """A director's directory."""
    directory = StateDirectory(tmp_path / "state")
    directory.prepare()
    return directory


@pytest.fixture
def runner(directory: StateDirectory) -> Runner:
    """What runs programs."""
    return Runner(directory)
