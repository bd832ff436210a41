"""
Hides the mounts of other VMs from the runtime.

Each VM has mounts on the host.  For each new VM runc copies all mounts that it sees, and
reads them several times: with a thousand VMs that took longer than all else.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from runc_cpi.daemon.host import detached_mounts, mounting
from runc_cpi.daemon.host.disks.mountinfo import Place, places

# What takes longer to hide than to live with.
FEW = 32


def hide(directory: Path, own: Path) -> None:
    """
    Have this thread see no mount below a directory, but for those in C{own}.

    The thread must have a mount namespace of its own, which passes on nothing.

    @raise OSError: if the kernel refuses; the thread must end then.
    """
    home, kept = os.path.realpath(directory), os.path.realpath(own)
    holder, around = _mounts_around(home)
    others = [p for p in around if _is_in(p.point, home) and not _is_in(p.point, kept)]
    if len(others) < FEW:
        return
    beside = [place.point for place in around if not _is_in(place.point, home)]
    _replace(holder.point, [*beside, kept], home)


def _mounts_around(home: str) -> tuple[Place, Sequence[Place]]:
    """Return the mount that a directory is on, and all that are mounted on that one."""
    with open("/proc/thread-self/mountinfo", "rb") as file:
        found = places(file.read())
    opened = os.open(home, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open(f"/proc/thread-self/fdinfo/{opened}", "rb") as file:
            told = file.read().split()
    finally:
        os.close(opened)
    number = int(told[told.index(b"mnt_id:") + 1])
    (holder,) = (place for place in found if place.number == number)
    return holder, [place for place in found if place.parent == number]


def _is_in(point: str, directory: str) -> bool:
    return point == directory or point.startswith(f"{directory}/")


def _replace(point: str, kept: Sequence[str], aside: str) -> None:
    """
    Mount the same again, and drop what was there with all that is mounted on it.

    @param point: where it is mounted.
    @param kept: what is to be there as before, with what is mounted below it.
    @param aside: a directory to have the new mount at meanwhile.
    """
    with ExitStack() as stack:
        new = stack.enter_context(detached_mounts.of_directory(point))
        trees = {path: _tree(stack, path) for path in kept}
        if point == "/":
            _move(new, aside)
        else:
            mounting.detach(point)
            _move(new, point)
        for path, tree in trees.items():
            if tree is not None:
                _move(tree, os.path.relpath(path, point), new)
        if point == "/":
            mounting.pivot(new)


def _tree(stack: ExitStack, path: str) -> int | None:
    """Mount a tree once more, nowhere yet; return nothing if it is under another mount."""
    try:
        return stack.enter_context(detached_mounts.of_directory(path, recursive=True))
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT, errno.ENOTDIR):
            raise
        return None


def _move(mount: int, target: str, within: int | None = None) -> None:
    """
    Mount what is nowhere yet.

    @param within: the mount that a relative target is in.
    """
    point = os.open(target, os.O_PATH | os.O_CLOEXEC, dir_fd=within)
    try:
        detached_mounts.move(mount, point)
    finally:
        os.close(point)
