"""How much room things take below the daemon's C{work_dir}, on its own host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from runc_cpi.ctl.operator import Operator
from runc_cpi.daemon.storage.descent import Entered, walk

BLOCK = 512  # bytes, whatever the file system (stat(2))


def taken_by(operator: Operator, kind: str, name: str) -> int | None:
    """
    Return the bytes that one thing takes.

    @param kind: the directory that it is in, such as C{disks}.
    @param name: its own directory, as the daemon told it.
    @return: or L{None} if that cannot be seen from here.
    """
    if operator.cpi_file is not None or os.path.basename(name) != name:
        return None
    path = operator.config.work_dir / kind / name
    return room_of(path) if os.access(path, os.R_OK | os.X_OK) else None


def room_of(top: Path) -> int:
    """Return the bytes that a tree takes; what has several names in it counts once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    # A VM may be at work in it.
    for step in walk(top):
        if not isinstance(step, Entered):
            continue
        total += os.fstat(step.fd).st_blocks * BLOCK
        for found in _files(step.fd):
            identity = found.st_dev, found.st_ino
            if found.st_nlink == 1 or identity not in seen:
                total += found.st_blocks * BLOCK
            if found.st_nlink > 1:
                seen.add(identity)
    return total


def _files(directory: int) -> Iterator[os.stat_result]:
    """Return the status of what is in a directory and is none; what goes is left out."""
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if not entry.is_dir(follow_symlinks=False):
                    yield entry.stat(follow_symlinks=False)
