"""Files of a tree that a stemcell or a VM wrote, whose links cannot be trusted."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from runc_cpi.daemon.storage import descent
from runc_cpi.daemon.storage.openat2 import IN_ROOT, NO_MAGICLINKS, openat2

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_NEW_FILE |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Tree:
    """
    A directory that is the root of all names looked up in it.

    The kernel resolves links as after a chroot, without a race (openat2(2),
    RESOLVE_IN_ROOT), so no name leads out.

    @param root: an open directory.
    """

    def __init__(self, root: int) -> None:
        self._root = root

    @classmethod
    @contextmanager
    def at(cls, path: Path) -> Iterator[Tree]:
        """Open the tree at C{path}, and close it on leaving."""
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield cls(fd)
        finally:
            os.close(fd)

    def open(self, name: str, flags: int, mode: int = 0) -> int:
        """
        Open C{name} and return the descriptor.

        @raise OSError: as open(2) says.
        """
        resolve = IN_ROOT | NO_MAGICLINKS
        return openat2(self._root, name, flags, mode=mode, resolve=resolve)

    @contextmanager
    def parent(self, name: str) -> Iterator[tuple[int, str]]:
        """
        Open the directory that C{name} is in.

        @return: a descriptor of it, and the last part of the name.  That part may be a
            link: use functions that take a C{dir_fd} and do not follow links.
        @raise OSError: if there is no such directory.
        """
        directory, last = os.path.split(name)
        fd = self.open(directory or ".", os.O_PATH | os.O_DIRECTORY)
        try:
            yield fd, last
        finally:
            os.close(fd)

    def make_directories(self, name: str, owner: int = 0) -> None:
        """
        Make a directory and those above it, unless they are there.

        @param owner: the user and the group of those that are made.
        @raise OSError: if that is not possible.
        """
        path = ""
        for part in name.strip("/").split("/"):
            path = f"{path}/{part}"
            with self.parent(path) as (directory, last), suppress(FileExistsError):
                os.mkdir(last, 0o755, dir_fd=directory)
                if owner:
                    os.chown(last, owner, owner, dir_fd=directory, follow_symlinks=False)

    def read(self, name: str, limit: int) -> bytes | None:
        """Return at most C{limit} bytes of an ordinary file, or L{None} if it is none."""
        try:
            fd = self.open_file(name)
        except OSError:
            return None
        with open(fd, "rb") as file:
            return file.read(limit)

    def open_file(self, name: str) -> int:
        """
        Open an ordinary file to read.

        Devices, pipes and sockets are never opened: to open one can act, or wait.

        @raise OSError: if there is none, or it is something else.
        """
        place = self.open(name, os.O_PATH)
        try:
            _check_ordinary(place, name)
            # Open what was checked: another file may have the name by now.
            return os.open(
                f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            )
        finally:
            os.close(place)

    def open_directory(self, name: str) -> int:
        """
        Open a directory to read.

        @raise OSError: if there is none, or it is something else.
        """
        return self.open(name, os.O_RDONLY | os.O_DIRECTORY)

    def write(self, name: str, content: str, mode: int = 0o600, *, owner: int = 0) -> None:
        """
        Write a file; whoever reads it sees the old content or the new.

        @param owner: the user and the group of the file.
        @raise OSError: if that is not possible.
        """
        with self.replacing(name, mode, owner) as file:
            file.write(content.encode("utf-8"))

    @contextmanager
    def replacing(self, name: str, mode: int, owner: int = 0) -> Iterator[BinaryIO]:
        """
        Have a file written, which takes its place once it is whole.

        @param owner: the user and the group of the file.
        @return: what is to be written to.  On an error the old content stays.
        @raise OSError: if that is not possible.
        """
        with self.parent(name) as (directory, last):
            # A VM cannot put something there first: nobody can guess the name.
            draft = f".{uuid4()}.new"
            with naming(name):
                fd = os.open(draft, _NEW_FILE, mode, dir_fd=directory)
            try:
                with open(fd, "wb") as file:
                    _check_ordinary(fd, name)
                    if owner:
                        os.fchown(fd, owner, owner)
                    yield file
                with naming(name):
                    os.rename(draft, last, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with suppress(OSError):
                    os.unlink(draft, dir_fd=directory)
                raise

    def remove(self, name: str) -> None:
        """
        Remove a file or a tree; one that is gone is no error.

        @raise OSError: if that is not possible.
        """
        with _may_be_absent(), self.parent(name) as (directory, last):
            found = os.stat(last, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                os.unlink(last, dir_fd=directory)
                return
            flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            top = os.open(last, flags, dir_fd=directory)
            try:
                descent.remove(top)
            finally:
                os.close(top)
            os.rmdir(last, dir_fd=directory)

    def remove_empty(self, name: str) -> None:
        """
        Remove a directory that is empty, and is no mount point; others stay.

        @raise OSError: if that is not possible.
        """
        try:
            with _may_be_absent(), self.parent(name) as (directory, last):
                os.rmdir(last, dir_fd=directory)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EBUSY):
                raise

    def remove_files(self, name: str, suffix: str) -> None:
        """
        Remove the files below a directory whose names end so, following no link.

        What lies deeper than L{descent.DEPTH} levels stays.

        @raise OSError: if that is not possible.
        """
        with _may_be_absent(), self.parent(f"{name}/.") as (top, _):
            for directory, file in descent.files(top):
                if file.endswith(suffix):
                    os.unlink(file, dir_fd=directory)

    def stat(self, name: str) -> os.stat_result | None:
        """Return the status of what C{name} leads to, or L{None} if it leads nowhere."""
        try:
            fd = self.open(name, os.O_PATH)
        except OSError:
            return None
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def resolve(self, name: str) -> str | None:
        """Return the last part of the name of what C{name} leads to, or L{None}."""
        try:
            fd = self.open(name, os.O_PATH)
        except OSError:
            return None
        try:
            return os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))
        finally:
            os.close(fd)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Have errors name the file that is written, and not its draft."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from None


def _check_ordinary(fd: int, name: str) -> None:
    """
    @raise OSError: if what is open is no ordinary file.
    """
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise OSError(errno.EINVAL, "is no ordinary file", name)


@contextmanager
def _may_be_absent() -> Iterator[None]:
    """Ignore errors that say that there is no such file."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
