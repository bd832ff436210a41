"""
Ways through a tree of directories that may be a VM's: to walk it, search it, remove it.

A path of the kernel ends at 4,096 bytes and Python's recursion at a thousand levels; a VM
makes deeper trees than that.  So each directory is opened from the one above it, in a
loop.  Links are not followed, and what is mounted in the tree is not entered.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runc_cpi.daemon.storage.openat2 import NO_SYMLINKS, NO_XDEV, openat2

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
# How many levels L{files} goes down: each takes two descriptors.
DEPTH = 64
# A directory's st_dev and st_ino.
_Identity = tuple[int, int]


@dataclass(frozen=True)
class Entered:
    """
    A directory was reached, and what is below it comes next.

    @ivar fd: a descriptor of it, open until the next step.
    """

    fd: int


@dataclass(frozen=True)
class Left:
    """
    All below a directory was visited.

    @ivar fd: a descriptor of the directory above it, open until the next step.
    @ivar name: its name there.
    """

    fd: int
    name: str


def walk(top: Path) -> Iterator[Entered | Left]:
    """
    Visit a directory and all below it, each when entered and, but for C{top}, when left.

    One descriptor is open at a time.  A directory that vanishes meanwhile is passed over.

    @raise OSError: if a directory cannot be read, or one was moved meanwhile.
    """
    try:
        here = os.open(top, _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        yield Entered(here)
        trail: list[tuple[str, _Identity]] = []
        waiting = [_subdirectories(here)]
        while True:
            if waiting[-1]:
                name = waiting[-1].pop()
                below = _entered(here, name)
                if below is not None:
                    trail.append((name, _identity(here)))
                    os.close(here)
                    here = below
                    yield Entered(here)
                    waiting.append(_subdirectories(here))
            elif trail:
                waiting.pop()
                name, above = trail.pop()
                here = _moved_up(here, above)
                yield Left(here, name)
            else:
                return
    finally:
        os.close(here)


def _subdirectories(directory: int) -> list[str]:
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


def files(top: int) -> Iterator[tuple[int, str]]:
    """
    Find all files below a directory that are no directories, to L{DEPTH} levels.

    Names are read as they are needed: a directory can hold more than fits in memory.

    @param top: an open directory, which stays open.
    @return: for each file an open directory that it is in, and its name there; the
        directory is open until the next step.
    @raise OSError: if a directory cannot be read.
    """
    levels = [_Level(_opened(top, "."))]
    try:
        while levels:
            level = levels[-1]
            entry = next(level.entries, None)
            if entry is None:
                levels.pop().close()
            elif not entry.is_dir(follow_symlinks=False):
                yield level.fd, entry.name
            elif len(levels) < DEPTH:
                below = _entered(level.fd, entry.name)
                if below is not None:
                    levels.append(_Level(below))
    finally:
        for level in levels:
            level.close()


class _Level:
    """
    A directory that is being read.

    @param fd: a descriptor of it, which is closed here, also if it cannot be read.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        try:
            self.entries = os.scandir(fd)
        except OSError:
            os.close(fd)
            raise

    def close(self) -> None:
        """Close the directory."""
        self.entries.close()
        os.close(self.fd)


def remove(top: int) -> None:
    """
    Remove all that is in a directory.

    One descriptor is open at a time, and no names are kept but those on the way down.

    @param top: an open directory, which stays open, and is not removed itself.
    @raise OSError: if something cannot be removed, something is mounted in the tree, or
        a directory was moved meanwhile.
    """
    trail: list[tuple[str, _Identity]] = []
    here = _opened(top, ".")
    try:
        while True:
            name = _remove_files(here)
            if name is not None:
                below = _opened(here, name)
                trail.append((name, _identity(here)))
                os.close(here)
                here = below
            elif trail:
                name, above = trail.pop()
                here = _moved_up(here, above)
                os.rmdir(name, dir_fd=here)
            else:
                return
    finally:
        os.close(here)


def _remove_files(directory: int) -> str | None:
    """Remove files up to the first subdirectory, and name that, or L{None} if all went."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                return entry.name
            os.unlink(entry.name, dir_fd=directory)
    return None


def _moved_up(here: int, expected: _Identity) -> int:
    """
    Open the directory above C{here}, and close C{here}.

    @param expected: the directory from which C{here} was entered.
    @raise OSError: if another is above it by now: what is there is somebody else's.
    """
    above = _opened(here, "..")
    if _identity(above) != expected:
        os.close(above)
        raise OSError("a directory of the tree was moved meanwhile")
    os.close(here)
    return above


def _entered(directory: int, name: str) -> int | None:
    """
    Open a subdirectory.

    @return: a descriptor, or L{None} if it is gone, is no directory any more, or has
        something mounted on it.
    """
    try:
        return _opened(directory, name)
    except (FileNotFoundError, NotADirectoryError, _Mounted):
        return None


def _opened(directory: int, name: str) -> int:
    """
    Open a directory in another.

    @raise _Mounted: if something is mounted there.
    """
    try:
        return openat2(directory, name, _DIRECTORY, resolve=NO_XDEV | NO_SYMLINKS)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise _Mounted(error.errno, "something is mounted there", name) from None
        raise


class _Mounted(OSError):
    """The way leads to another mount."""


def _identity(directory: int) -> _Identity:
    found = os.fstat(directory)
    return found.st_dev, found.st_ino
