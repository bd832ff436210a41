"""
Hides the mounts of other VMs from the runtime.

Each VM has mounts on the host.  For each new VM runc copies all mounts that it sees, and
reads them several times: with a thousand VMs that took longer than all else.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from twisted.logger import Logger

from runc_cpi.daemon.host import detached_mounts, mounting
from runc_cpi.daemon.host.disks.mountinfo import places

log = Logger()
# What takes longer to hide than to live with.
FEW = 32
_OF_A_VM = re.compile(rb"/vms/vm-[0-9a-f-]{36}/[a-z]")


def hide(bundle: Path) -> None:
    """
    Have this thread see no mounts of VMs, of this daemon or another, but those of one.

    The thread must have a mount namespace of its own, which passes on nothing.  If the
    kernel refuses, it sees all of them.

    @param bundle: the directory of that VM.
    """
    own = os.path.realpath(bundle)
    try:
        with open("/proc/thread-self/mountinfo", "rb") as file:
            table = file.read()
        others = places(table, but=_OF_A_VM)
        # To hide them takes longer, the more others there are.
        if len(_OF_A_VM.findall(table)) >= max(FEW, len(others)):
            holder = _number_of_mount(own)
            beside = [place.point for place in others if place.parent == holder]
            for place in others:
                if place.number == holder:
                    _replace(place.point, [*beside, own], os.path.dirname(own))
    except OSError as error:
        log.warn(
            "{vm_cid}: it takes longer, as mounts of other VMs cannot be hidden: {error}",
            vm_cid=bundle.name,
            error=str(error),
        )


def _number_of_mount(path: str) -> int:
    """Return the number of the mount that a directory is on."""
    opened = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open(f"/proc/thread-self/fdinfo/{opened}", "rb") as file:
            told = file.read().split()
    finally:
        os.close(opened)
    return int(told[told.index(b"mnt_id:") + 1])


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
        if point != "/":
            mounting.detach(point)
            _move(new, point)
            _move_all(trees, point, new)
            return
        _move(new, aside)
        try:
            _move_all(trees, point, new)
            mounting.pivot(new)
        except OSError:
            mounting.detach(aside)
            raise


def _move_all(trees: Mapping[str, int | None], point: str, new: int) -> None:
    """Mount trees in their places, which are in a mount that was at C{point}."""
    for path, tree in trees.items():
        if tree is not None:
            # Somebody may have unmounted it on the host, and removed the mount point.
            with suppress(FileNotFoundError):
                _move(tree, os.path.relpath(path, point), new)


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
