"""Directories deeper than the kernel takes paths, and than Python recurses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEPTH = 1200
NAME = "deep"


@contextmanager
def made_below(top: Path, depth: int = DEPTH) -> Iterator[int]:
    """Make directories one in another, and lend a descriptor of the last."""
    here = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for _ in range(depth):
            os.mkdir(NAME, dir_fd=here)
            below = os.open(NAME, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
        yield here
    finally:
        os.close(here)


def write(directory: int, name: str, text: str) -> None:
    """Write a file in one write, as files of cgroups want it."""
    fd = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=directory)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
