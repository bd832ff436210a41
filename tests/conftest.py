"""Set-up for the whole suite."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.harness import images, netns
from tests.harness.order import in_order

REPORT = "report"
HERE = Path(__file__).parent
# The tests in here make no VM.
WITHOUT_VMS = (HERE / "unit", HERE / "contract", HERE / "privileged")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --long, without which tests marked so are left out, and --bosh-cli."""
    parser.addoption("--long", action="store_true", help="also run what takes minutes")
    parser.addoption("--bosh-cli", help="the real bosh CLI, in place of a stand-in")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is long, unless it is asked for, and put the rest in order."""
    if not config.getoption("--long"):
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
    items[:] = in_order(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def pytest_collection_finish(session: pytest.Session) -> None:
    """
    Leave the machine's network before the first test; that takes root.

    Stemcells are made before, if a test may need one: their packages come over the
    network. Who only hands out tests to processes that run them (pytest-xdist) collects
    nothing, and stays outside.
    """
    if os.geteuid() != 0 or session.config.option.collectonly:
        return
    if not all(is_within(item.path, WITHOUT_VMS) for item in session.items):
        for kind in images.KINDS:
            images.bootable(kind)
    netns.enter()


def is_within(path: Path, directories: Sequence[Path]) -> bool:
    """Say whether a file is in one of some directories."""
    return any(path.is_relative_to(directory) for directory in directories)


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Keeps a line for the end of the output, where it is seen when all is well too."""
    return partial(record_property, REPORT)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print those lines."""
    lines = [
        value
        for outcome in ("passed", "failed")
        for test in terminalreporter.getreports(outcome)
        for name, value in test.user_properties
        if name == REPORT
    ]
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.line(str(line))
