"""
Hides the mounts of VMs from a thread.

Each VM has mounts on the host.  For each new VM runc copies all mounts that it sees, and
reads them several times: with a thousand VMs that took longer than all else.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from runc_cpi.daemon.host import detached_mounts, listed_mounts, mounting
from runc_cpi.daemon.host.disks.mountinfo import Place, places

# What takes longer to hide than to live with.
FEW = 32
# To look at these may wait for a server, for ever, or mount something.  With one of them
# beside, nothing is hidden.
DISTANT = frozenset({"9p", "afs", "autofs", "ceph", "cifs", "nfs", "nfs4", "smb3", "smbfs"})
# Also of one that is being made, or removed.
_OF_A_VM = re.compile(rb"/(?:vms/vm|scratch/new|scratch/old)-[0-9a-f-]{36}/[a-z]")


@dataclass(frozen=True)
class Sight:
    """
    What is mounted where the directories of VMs are.

    @ivar point: where the file system is mounted that has them.
    @ivar beside: what is mounted on that one, but for mounts of VMs.
    @ivar others: all that is mounted anywhere, but for mounts of VMs.
    """

    point: str
    beside: Sequence[str]
    others: Sequence[Place]


class OtherMounts:
    """Knows which mounts are those of VMs, so that it looks at each of them once."""

    def __init__(self) -> None:
        self._of_vms: set[int] = set()

    def look(self, vms: Path) -> Sight | None:
        """
        Look at what this thread sees, which is what the host sees.

        @param vms: the directory that has those of VMs.
        @return: or L{None} if there is too little to be hidden.
        @raise OSError: if the kernel refuses to tell.
        """
        of_vms, others = self._all()
        # To hide them takes longer, the more others there are.
        if of_vms < max(FEW, len(others)):
            return None
        number = _number_of_mount(vms)
        near = [place for place in others if place.parent == number]
        if not DISTANT.isdisjoint(place.filesystem for place in near):
            return None
        beside = [place.point for place in near]
        points = (place.point for place in others if place.number == number)
        return next((Sight(point, beside, others) for point in points), None)

    def _all(self) -> tuple[int, Sequence[Place]]:
        """Return how many mounts of VMs there are, of any daemon, and others if many."""
        try:
            numbers = list(listed_mounts.numbers())
        except OSError:
            return _read_all()
        if len(numbers) < FEW:
            return 0, []
        self._of_vms.intersection_update(numbers)
        others = [self._other(number) for number in numbers if number not in self._of_vms]
        return len(self._of_vms), [place for place in others if place is not None]

    def _other(self, number: int) -> Place | None:
        """Return where a mount is, unless it is one of a VM, which is noted, or gone."""
        place = listed_mounts.place_of(number)
        if place is not None and _OF_A_VM.search(os.fsencode(place.point)):
            self._of_vms.add(number)
            return None
        return place


def _read_all() -> tuple[int, Sequence[Place]]:
    """Return the same on a kernel before Linux 6.8."""
    with open("/proc/thread-self/mountinfo", "rb") as file:
        table = file.read()
    return len(_OF_A_VM.findall(table)), places(table, but=_OF_A_VM)


def _number_of_mount(path: Path) -> int:
    """Return the number of the mount that a directory is on."""
    opened = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open(f"/proc/thread-self/fdinfo/{opened}", "rb") as file:
            told = file.read().split()
    finally:
        os.close(opened)
    return int(told[told.index(b"mnt_id:") + 1])


def hide(sight: Sight, vms: Path) -> None:
    """
    Have this thread see no mounts of VMs.

    The thread must have a mount namespace of its own, which passes on nothing.

    @param sight: what there was when the thread did not have a namespace yet.
    @param vms: the directory that has those of VMs.
    @raise OSError: if the kernel refuses; the thread may have lost other mounts then.
    """
    with ExitStack() as stack:
        new = stack.enter_context(detached_mounts.of_directory(sight.point))
        trees = {path: _tree(stack, path) for path in sight.beside}
        if sight.point == "/":
            _begin_with(new, trees, os.path.realpath(vms))
        else:
            mounting.detach(sight.point)
            move(new, sight.point)
            _move_all(trees, sight.point, new)
    _detach_the_rest()


def _detach_the_rest() -> None:
    """Unmount what is of VMs whose directories are below other mounts."""
    with open("/proc/thread-self/mountinfo", "rb") as file:
        points = [place.point for place in places(file.read())]
    for point in reversed(points):
        if _OF_A_VM.search(os.fsencode(point)):
            # It may have gone with one that it was in.
            with suppress(OSError):
                mounting.detach(point)


def _begin_with(new: int, trees: Mapping[str, int | None], aside: str) -> None:
    """
    Have the mount namespace begin with a mount that is nowhere yet.

    @param trees: what is to be there, by the path.
    @param aside: a directory to have the new mount at meanwhile.
    """
    move(new, aside)
    _move_all(trees, "/", new)
    mounting.pivot(new)


def _tree(stack: ExitStack, path: str) -> int | None:
    """Mount a tree once more, nowhere yet; return nothing if it is under another mount."""
    try:
        return stack.enter_context(detached_mounts.of_directory(path, recursive=True))
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        return None


def _move_all(trees: Mapping[str, int | None], point: str, new: int) -> None:
    """Mount trees in their places, which are in a mount that was at C{point}."""
    for path, tree in trees.items():
        if tree is not None:
            # Somebody may have unmounted it on the host, and removed the mount point.
            with suppress(FileNotFoundError):
                move(tree, os.path.relpath(path, point), new)


def move(mount: int, target: str, within: int | None = None) -> None:
    """
    Mount what is nowhere yet.

    @param within: the mount that a relative target is in.
    """
    point = os.open(target, os.O_PATH | os.O_CLOEXEC, dir_fd=within)
    try:
        detached_mounts.move(mount, point)
    finally:
        os.close(point)
