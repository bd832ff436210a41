"""Cgroup directories, in whichever hierarchies this host has."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def directories(path: str, root: Path = ROOT) -> list[Path]:
    """Return where a cgroup is: one directory on v2, several beside each other on v1."""
    name = path.lstrip("/")
    return [found for found in (root / name, *root.glob(f"*/{name}")) if found.is_dir()]


def children(path: str, root: Path = ROOT) -> set[str]:
    """Name the cgroups right below one, in any hierarchy."""
    return {
        entry.name
        for top in directories(path, root)
        for entry in os.scandir(top)
        if entry.is_dir()
    }


def processes(path: str, root: Path = ROOT) -> set[int]:
    """List the processes in a cgroup and those below it."""
    found: set[int] = set()
    for top in directories(path, root):
        for directory, _, _ in os.walk(top):
            with suppress(OSError):
                found.update(map(int, Path(directory, "cgroup.procs").read_text().split()))
    return found


def remove(path: str, root: Path = ROOT) -> None:
    """
    Remove a cgroup and those below it, where no process is left.

    Runtimes leave what is above a container's own cgroup, and its own if they fail.
    """
    for top in directories(path, root):
        for directory, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                os.rmdir(directory)
