"""A tree of directories, however deep: by descriptors, without recursion or paths."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Entered:
    """
    A directory was reached, and what is below it comes next.

    @ivar fd: a descriptor of it, good until the next step.
    """

    fd: int


@dataclass(frozen=True)
class Left:
    """
    All below a directory was seen.

    @ivar fd: a descriptor of the directory that it is in, good until the next step.
    @ivar name: its name there.
    """

    fd: int
    name: str


def walk(top: Path) -> Iterator[Entered | Left]:
    """
    Visit a directory and all below it, each when entered and, but for C{top}, when left.

    A path of the kernel ends at 4,096 bytes and Python's recursion at a thousand levels;
    a VM makes deeper trees than that.  The way up is C{..}, and it is
    checked that it leads back: somebody may move directories meanwhile.  Links and other
    file systems are not followed.  What vanishes meanwhile is passed over.

    @raise OSError: if a directory cannot be read, or there is no way back up.
    """
    try:
        here = os.open(top, _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        device = os.fstat(here).st_dev
        yield Entered(here)
        names: list[str] = []
        above: list[tuple[int, int]] = []
        waiting = [_directories(here)]
        while waiting:
            if waiting[-1]:
                name = waiting[-1].pop()
                below = _open_below(here, name, device)
                if below is not None:
                    above.append(_identity(here))
                    os.close(here)
                    here = below
                    names.append(name)
                    yield Entered(here)
                    waiting.append(_directories(here))
            else:
                waiting.pop()
                if names:
                    parent = os.open("..", _DIRECTORY, dir_fd=here)
                    os.close(here)
                    here = parent
                    if _identity(here) != above.pop():
                        raise OSError(f"{top}: a directory in it was moved meanwhile")
                    yield Left(here, names.pop())
    finally:
        os.close(here)


def _directories(fd: int) -> list[str]:
    with suppress(FileNotFoundError), os.scandir(fd) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def _open_below(fd: int, name: str, device: int) -> int | None:
    try:
        below = os.open(name, _DIRECTORY, dir_fd=fd)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if os.fstat(below).st_dev != device:
        os.close(below)
        return None
    return below
