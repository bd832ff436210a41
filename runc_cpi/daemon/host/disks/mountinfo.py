"""What the kernel prints of mounts, read as the bytes that it is."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass

_ESCAPE = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """
    A line of mountinfo (proc(5)).

    Names are as L{os.fsdecode} has them: a VM may use any bytes but NUL.

    @ivar number: its own.
    @ivar device: major and minor number, as C{7:3}.
    @ivar root: which directory of the file system is mounted.
    @ivar point: where, as the process sees it.
    @ivar filesystem: its type, such as C{ext4}.
    @ivar options: those of the file system, which all its mounts share.  The first is
        C{ro} or C{rw}.
    """

    number: int
    device: str
    root: str
    point: str
    filesystem: str
    options: str


@dataclass(frozen=True)
class Place:
    """
    Where a mount is: the part of its line that takes little to read.

    @ivar number: its own. @ivar parent: the number of the mount that it is on.
    @ivar point: where, as the process sees it.
    @ivar filesystem: its type, such as C{ext4}.
    """

    number: int
    parent: int
    point: str
    filesystem: str


def places(table: bytes, but: re.Pattern[bytes] | None = None) -> list[Place]:
    """
    Read mountinfo, in its order, for no more than where the mounts are.

    @param but: matches where mounts are that are left out: there may be thousands.
    """
    lines = (line.split(b" ", 5) for line in table.split(b"\n") if line)
    return [
        Place(int(line[0]), int(line[1]), _name(line[4]), _filesystem(line[5]))
        for line in lines
        if but is None or not but.search(line[4])
    ]


def parse(table: bytes) -> list[Mount]:
    """Read mountinfo, in its order: what is mounted later hides what is before it."""
    # Only blanks, tabs, newlines and backslashes in names are escaped by the kernel.
    lines = (line.split(b" ") for line in table.split(b"\n") if line)
    return [_mount(fields) for fields in lines]


def read(pid: int) -> list[Mount]:
    """
    Return the mounts that a process sees.

    @raise OSError: if it ended: C{ENOENT} or C{ESRCH}.
    """
    try:
        with open(f"/proc/{pid}/mountinfo", "rb") as file:
            return parse(file.read())
    except OSError as error:
        if error.errno == errno.EINVAL:
            # It has ended, and its parent has not taken note.
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH)) from None
        raise


def _mount(fields: list[bytes]) -> Mount:
    # Any number of optional fields is before the separator.
    filesystem, _, *options = fields[fields.index(b"-", 6) + 1 :]
    # Some options can have blanks, as those of a security module.
    names = (fields[3], fields[4], filesystem, b" ".join(options))
    return Mount(int(fields[0]), fields[2].decode("ascii"), *map(_name, names))


def _filesystem(rest: bytes) -> str:
    """Return what is behind the separator, before which there may be optional fields."""
    return _name(rest.partition(b" - ")[2].split(b" ", 1)[0])


def _name(field: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda found: bytes((int(found[1], 8),)), field))
