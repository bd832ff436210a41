"""Files of a tree that a stemcell or a VM wrote, and whose links are not to be trusted."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_OPENAT2 = 437  # the same number on all architectures
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_IN_ROOT = 0x10

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


class Tree:
    """
    A directory taken as the root of all that is looked up in it.

    Links resolve as they would after a chroot, by the kernel and without a race
    (openat2(2), RESOLVE_IN_ROOT): no name leads out.

    @param root: an open directory.
    """

    def __init__(self, root: int) -> None:
        self._root = root

    @classmethod
    @contextmanager
    def at(cls, path: Path) -> Iterator[Tree]:
        """Open the tree at C{path}."""
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
        how = _OpenHow(
            flags | os.O_CLOEXEC, mode, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS
        )
        fd: int = _libc.syscall(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(self._root),
            ctypes.c_char_p(os.fsencode(name)),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if fd < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), name)
        return fd

    @contextmanager
    def parent(self, name: str) -> Iterator[tuple[int, str]]:
        """
        Open the directory that C{name} is in.

        @return: a descriptor of it, and the last part of the name, for functions that
            take a C{dir_fd} and do not follow what that part may link to.
        @raise OSError: if there is no such directory.
        """
        directory, last = os.path.split(name)
        fd = self.open(directory or ".", os.O_PATH | os.O_DIRECTORY)
        try:
            yield fd, last
        finally:
            os.close(fd)

    def make_directories(self, name: str) -> None:
        """
        Make a directory and those above it, unless they are there.

        @raise OSError: if that is not possible.
        """
        path = ""
        for part in name.strip("/").split("/"):
            path = f"{path}/{part}"
            with self.parent(path) as (directory, last), suppress(FileExistsError):
                os.mkdir(last, 0o755, dir_fd=directory)

    def read(self, name: str, limit: int) -> bytes | None:
        """Return at most C{limit} bytes of an ordinary file, or L{None} without one."""
        found = self.stat(name)
        if found is None or not stat.S_ISREG(found.st_mode):
            return None
        with open(self.open(name, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            return file.read(limit)

    def write(self, name: str, content: str, mode: int = 0o600) -> None:
        """
        Write a file whole: whoever reads it sees the old content or the new.

        @raise OSError: if that is not possible.
        """
        with self.parent(name) as (directory, last):
            draft = f".{last}.new"
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(draft, flags, mode, dir_fd=directory)
            with open(fd, "w", encoding="utf-8") as file:
                file.write(content)
            os.rename(draft, last, src_dir_fd=directory, dst_dir_fd=directory)

    def remove(self, name: str) -> None:
        """
        Remove a file or a tree; one that is gone is no error.

        @raise OSError: if that is not possible.
        """
        try:
            with self.parent(name) as (directory, last):
                found = os.stat(last, dir_fd=directory, follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    shutil.rmtree(last, dir_fd=directory)
                else:
                    os.unlink(last, dir_fd=directory)
        except FileNotFoundError:
            return

    def remove_files(self, name: str, suffix: str) -> None:
        """
        Remove the files below a directory whose names end so, following no link.

        @raise OSError: if that is not possible.
        """
        try:
            with self.parent(f"{name}/.") as (directory, _):
                for _, _, files, where in os.fwalk(dir_fd=directory):
                    for file in files:
                        if file.endswith(suffix):
                            os.unlink(file, dir_fd=where)
        except FileNotFoundError:
            return

    def stat(self, name: str) -> os.stat_result | None:
        """Return what C{name} leads to, or L{None} if it leads nowhere."""
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
