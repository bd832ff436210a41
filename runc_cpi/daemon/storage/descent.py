"""Ways down a tree that a stranger made, however deep: by descriptors, in a loop."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress

from runc_cpi.daemon.storage.openat2 import NO_SYMLINKS, NO_XDEV, openat2

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
# How deep files are looked for: each level takes two descriptors.
DEPTH = 64


def files(top: int) -> Iterator[tuple[int, str]]:
    """
    Find what is no directory below one; links are not followed.

    What lies deeper than L{DEPTH} is left out, and so is what is mounted there.

    @param top: an open directory, which stays open.
    @return: for each an open directory that it is in, and its name, for as long as the
        next is not asked for.
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
                with suppress(FileNotFoundError, NotADirectoryError, _Mounted):
                    levels.append(_Level(_opened(level.fd, entry.name)))
    finally:
        for level in levels:
            level.close()


class _Level:
    """A directory that is being read; it is closed if that fails at once."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        try:
            self.entries = os.scandir(fd)
        except OSError:
            os.close(fd)
            raise

    def close(self) -> None:
        """Let go of it."""
        self.entries.close()
        os.close(self.fd)


def remove(top: int) -> None:
    """
    Remove all that is in a directory, however deep it goes.

    One descriptor is held, and no names but those on the way.  The way up is by C{..},
    which is checked: somebody may move directories meanwhile.

    @param top: an open directory, which stays open, and is not removed.
    @raise OSError: if something cannot be removed, or something is mounted there.
    """
    path: list[tuple[str, tuple[int, int]]] = []
    here = _opened(top, ".")
    try:
        while True:
            below = _remove_files(here)
            if below is not None:
                path.append((below, _identity(here)))
                here = _moved(here, below)
            elif path:
                name, above = path.pop()
                here = _moved(here, "..")
                if _identity(here) != above:
                    raise OSError("a directory was moved while its tree was removed")
                os.rmdir(name, dir_fd=here)
            else:
                return
    finally:
        os.close(here)


def _remove_files(directory: int) -> str | None:
    """Remove files up to the first directory, and name that; there may be none."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                return entry.name
            os.unlink(entry.name, dir_fd=directory)
    return None


def _moved(here: int, name: str) -> int:
    """Open another directory in place of the one that is open."""
    there = _opened(here, name)
    os.close(here)
    return there


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
    """What lies further down is another file system's, and somebody else's."""


def _identity(directory: int) -> tuple[int, int]:
    found = os.fstat(directory)
    return found.st_dev, found.st_ino
