"""Fixtures that start real daemons."""

from __future__ import annotations

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
    "image",
    "kind",
    "lab",
    "leaves_nothing",
    "new_daemon",
    "tiny",
]
