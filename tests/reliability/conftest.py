"""Fixtures: real daemons, and an image whose VMs answer."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.harness import images
from tests.harness.fixtures import busybox, lab, leaves_nothing, new_daemon, tiny
from tests.harness.lab import Lab
from tests.reliability import guests

__all__ = ["busybox", "lab", "leaves_nothing", "new_daemon", "tiny"]

pytest.register_assert_rewrite(
    *(f"tests.reliability.{name}" for name in ("site", "ground", "trial"))
)


@pytest.fixture(scope="session")
def answering(lab: Lab, busybox: bytes) -> Path:
    """An image whose VMs answer with their agent's settings."""
    path = lab.home / "answering.tgz"
    path.write_bytes(gzip.compress(guests.answering(busybox), 1))
    return path


@pytest.fixture(scope="session")
def layout(lab: Lab, busybox: bytes) -> Path:
    """The image whose VMs answer, as an OCI image layout for light stemcells."""
    path = lab.home / "layout"
    images.make_layout(path, guests.answering(busybox))
    return path
