"""Set-up for the whole suite."""

from __future__ import annotations

import os

import pytest

from tests.harness import images, netns


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --long, without which tests marked so are left out."""
    parser.addoption("--long", action="store_true", help="also run what takes minutes")


def pytest_sessionstart() -> None:
    """Leave the machine's network before anything else; that takes root."""
    if os.geteuid() == 0:
        for kind in images.KINDS:
            # Their packages come over the network.
            images.bootable(kind)
        netns.enter()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is long, unless it is asked for."""
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]
