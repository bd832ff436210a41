"""Fixtures: those for real daemons, an image that answers, and lines for the summary."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import images
from tests.harness.fixtures import busybox, lab, leaves_nothing, new_daemon, tiny
from tests.harness.lab import Lab
from tests.reliability import guests

__all__ = ["busybox", "lab", "leaves_nothing", "new_daemon", "tiny"]

pytest.register_assert_rewrite("tests.reliability.site")

REPORT = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Keeps a line for the end of the output, where it is seen when all is well too."""
    return pytestconfig.stash.setdefault(REPORT, []).append


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print those lines."""
    lines = config.stash.get(REPORT, [])
    if lines:
        terminalreporter.section("reliability")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def answering(lab: Lab, busybox: bytes) -> Path:
    """An image whose VMs answer with their agent's settings."""
    path = lab.home / "answering.tgz"
    path.write_bytes(gzip.compress(guests.answering(busybox), 1))
    return path


@pytest.fixture(scope="session")
def layout(lab: Lab, busybox: bytes) -> Path:
    """The same as an OCI image layout, for light stemcells."""
    path = lab.home / "layout"
    images.make_layout(path, guests.answering(busybox))
    return path
