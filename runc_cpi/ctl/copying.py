"""C{runc-cpictl cp}: one file into a VM, or out of it."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import click

from runc_cpi.ctl import units
from runc_cpi.ctl.inside import CID, Files, files_of
from runc_cpi.ctl.operator import Operator, output_option
from runc_cpi.daemon.storage.tree import naming

MEBIBYTE = 1 << 20
LIMIT, MOST = 1024, 1 << 20  # MiB
CHUNK = 1 << 20
# What of a mode is copied: no file gets the rights of its owner that way (chmod(2)).
PERMISSIONS = 0o777
IN_A_VM = re.compile(rf"({CID.pattern}):(.+)", re.DOTALL)
NO_NAMES = ("", ".", "..")


class TooLarge(OSError):
    """A file has more bytes than may be copied."""


@click.command()
@click.argument("source")
@click.argument("target")
@click.option(
    "--limit",
    type=click.IntRange(1, MOST),
    default=LIMIT,
    show_default=True,
    metavar="MIB",
    help="Copy no file that is larger.",
)
@output_option
@click.pass_obj
def cp(operator: Operator, source: str, target: str, limit: int) -> None:
    """
    Copy a file into a VM, or out of it.

    One of SOURCE and TARGET is VM_CID:PATH, the other a path of this host.  If TARGET is a
    directory, the file gets the name it had.  No program of the VM is run.  In a VM the
    file is its root's.  On this host only an ordinary file is replaced.
    """
    there, back = IN_A_VM.fullmatch(target), IN_A_VM.fullmatch(source)
    if (there is None) == (back is None):
        raise click.UsageError("one of SOURCE and TARGET must be VM_CID:PATH")
    try:
        if there is not None:
            with files_of(operator, there[1]) as files:
                count = copy_in(Path(source), files, there[2], limit * MEBIBYTE)
        elif back is not None:
            with files_of(operator, back[1]) as files:
                if files.tree.stat(back[2]) is None:
                    raise click.ClickException(_no_file(source, back[1], back[2]))
                count = copy_out(files, back[2], Path(target), limit * MEBIBYTE)
    except TooLarge:
        message = f"{source}: is larger than {limit} MiB; --limit allows more"
        raise click.ClickException(message) from None
    except OSError as error:
        where = error.filename or f"{source} to {target}"
        raise click.ClickException(f"{where}: {error.strerror or error}") from None
    answer = {"source": source, "target": target, "bytes": count}
    operator.show(answer, lambda: click.echo(f"copied {units.size(count)}"))


def _no_file(source: str, vm_cid: str, name: str) -> str:
    listing = f"runc-cpictl vm exec {vm_cid} ls {os.path.dirname(name) or '/'}"
    return f"{source}: there is no such file in the VM; see {listing}"


def copy_in(source: Path, files: Files, name: str, limit: int) -> int:
    """
    Copy a file of this host into a VM.

    @param name: where to, from the VM's root.
    @param limit: bytes.
    @return: how many bytes it has.
    @raise TooLarge: if it has more.
    @raise OSError: if it cannot be read, or written.
    """
    with open(_opened(source), "rb") as file:
        found = os.fstat(file.fileno())
        there = files.tree.stat(name)
        if name.endswith("/") or (there is not None and stat.S_ISDIR(there.st_mode)):
            name = f"{name}/{source.name}"
        mode = found.st_mode & PERMISSIONS
        try:
            with files.tree.replacing(name, mode, files.owner) as target:
                return _copy(file, target, limit)
        except OSError as error:
            if error.errno != errno.EOVERFLOW:
                raise
        # It is a file system that only the VM's own users can write to.
        with (
            _acting_as(files.owner),
            files.tree.replacing(name, mode, files.owner) as target,
        ):
            return _copy(file, target, limit)


@contextmanager
def _acting_as(owner: int) -> Iterator[None]:
    """
    Have this process be a user, and a group, of the host.

    @raise OSError: if it may not.
    """
    user, group = os.geteuid(), os.getegid()
    os.setegid(owner)
    os.seteuid(owner)
    try:
        yield
    finally:
        os.seteuid(user)
        os.setegid(group)


def copy_out(files: Files, name: str, target: Path, limit: int) -> int:
    """
    Copy a file of a VM to this host.

    @param name: where it is, from the VM's root.
    @param limit: bytes.
    @return: how many bytes it has.
    @raise TooLarge: if it has more.
    @raise OSError: if it cannot be read, or written.
    """
    with open(files.tree.open_file(name), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode & PERMISSIONS
        if target.is_dir():
            last = os.path.basename(name)
            if last in NO_NAMES:
                raise OSError(errno.EISDIR, "is a directory", name)
            target = target / last
        with _replacing(target, mode) as written:
            return _copy(file, written, limit)


def _opened(path: Path) -> int:
    """
    Open an ordinary file of this host.

    @raise OSError: if it is none.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "is no ordinary file", str(path))
    return fd


@contextmanager
def _replacing(path: Path, mode: int) -> Iterator[BinaryIO]:
    """
    Have a file of this host written, which takes its place once it is whole.

    @raise OSError: if it cannot be written, or something else than a file is in its place.
    """
    # To put a file in the place of a device, a pipe or a link would break the host.
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        reason = "is no ordinary file; name a file or a directory"
        raise OSError(errno.EINVAL, reason, str(path))
    draft = path.with_name(f".{uuid4()}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with naming(str(path)):
        fd = os.open(draft, flags, mode)
    try:
        with open(fd, "wb") as file:
            yield file
        with naming(str(path)):
            draft.rename(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def _copy(source: BinaryIO, target: BinaryIO, limit: int) -> int:
    """Copy what a file has, and sync it."""
    count = 0
    while data := source.read(CHUNK):
        count += len(data)
        # A file can grow for as long as it is read.
        if count > limit:
            raise TooLarge
        target.write(data)
    target.flush()
    os.fsync(target.fileno())
    return count
