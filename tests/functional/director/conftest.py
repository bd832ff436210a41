"""Fixtures for tests of C{runc-cpictl director}."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.bosh.site import Site
from tests.harness.lab import Lab


@pytest.fixture
def site(
    lab: Lab, tiny: Path, request: pytest.FixtureRequest, leaves_nothing: None
) -> Iterator[Site]:
    """A host on which a director can be made."""
    home = lab.home / "site"
    home.mkdir()
    real = request.config.getoption("--bosh-cli")
    site = Site(home, tiny, None if real is None else Path(real))
    try:
        yield site
    finally:
        site.vm.close()
        if site.state_dir.exists():
            site.run("destroy", "--yes", "--force")
        shutil.rmtree(home)
