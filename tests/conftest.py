"""Set-up for the whole suite."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import pytest

from tests.harness import images, netns

REPORT = "report"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --long, without which tests marked so are left out."""
    parser.addoption("--long", action="store_true", help="also run what takes minutes")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Leave the machine's network before anything else; that takes root."""
    if os.geteuid() != 0:
        return
    for kind in images.KINDS:
        # Their packages come over the network.
        images.bootable(kind)
    # Who only hands out tests to processes that run them (pytest-xdist) stays outside.
    if not session.config.getoption("numprocesses", None):
        netns.enter()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is long, unless it is asked for."""
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


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
