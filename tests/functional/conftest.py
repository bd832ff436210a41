"""Fixtures that start real daemons."""

from __future__ import annotations

from tests.functional.two_hosts import elsewhere, far, neighbour
from tests.harness.fixtures import (
    bridged,
    busybox,
    daemon,
    image,
    kind,
    lab,
    leaves_nothing,
    new_daemon,
    tiny,
)

__all__ = [
    "bridged",
    "busybox",
    "daemon",
    "elsewhere",
    "far",
    "image",
    "kind",
    "lab",
    "leaves_nothing",
    "neighbour",
    "new_daemon",
    "tiny",
]
