"""Where the processes of a VM have a disk mounted, and how it is unmounted there."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

from runc_cpi.daemon.host import mounting
from runc_cpi.daemon.host.cgroups import hierarchies
from runc_cpi.daemon.host.disks import holders, mountinfo
from runc_cpi.daemon.host.disks.mountinfo import Mount
from runc_cpi.daemon.host.guests.guests import root_of
from runc_cpi.daemon.host.namespaces import CLONE_NEWNS, inside
from runc_cpi.errors import CloudError, DiskBusy
from runc_cpi.printable import printable

T = TypeVar("T")

PASSES = 10  # one unmounting can uncover another mount
ROUNDS = 10  # all who were asked can have ended, and have started others
PATIENCE, PAUSE = 1.0, 0.02  # seconds


def mount_points(pid: int, wanted: Callable[[Mount], bool]) -> list[str]:
    """
    Return the mount points of what is wanted, as C{pid} sees them, the last mounted first.

    @raise OSError: if the process ended.
    """
    return [mount.point for mount in reversed(mountinfo.read(pid)) if wanted(mount)]


def open_mounted(cgroup: str, device: int, wanted: Callable[[Mount], bool]) -> int | None:
    """
    Open a file system in one of the places where a VM has it mounted.

    @param cgroup: the container's path in its hierarchies.
    @param device: what its files have as C{st_dev}.
    @return: a descriptor, or nothing if it is not mounted.
    @raise CloudError: if it is mounted, but out of reach.
    """
    for _ in range(ROUNDS):
        hidden, all_answered = None, True
        for members in members_of_namespaces(cgroup):
            try:
                fd, points = _ask(members, partial(_open_as_seen_by, device, wanted))
            except ProcessLookupError:
                all_answered = False
                continue
            if fd is not None:
                return fd
            hidden = points[0] if points else hidden
        if all_answered:
            break
    if hidden is not None:
        raise CloudError(
            f"the disk is mounted at {printable(hidden, '')}, under another mount"
        )
    return None


def _ask(members: Sequence[int], question: Callable[[int], T]) -> T:
    """
    Ask about a mount namespace by one of its processes after the other.

    @return: the answer of the first that has not ended meanwhile.
    @raise ProcessLookupError: if all have.
    """
    for pid in members:
        with suppress(FileNotFoundError, ProcessLookupError):
            return question(pid)
    raise ProcessLookupError(f"{members} have ended")


def _open_as_seen_by(
    device: int, wanted: Callable[[Mount], bool], pid: int
) -> tuple[int | None, list[str]]:
    """
    Open a file system where one process sees it.

    @return: a descriptor, if it is in reach; and where it is mounted.
    @raise OSError: if the process ended.
    """
    points = mount_points(pid, wanted)
    with root_of(pid) as tree:
        for point in points:
            try:
                fd = tree.open(point, os.O_RDONLY | os.O_DIRECTORY)
            except OSError:
                continue
            if os.fstat(fd).st_dev == device:
                return fd, points
            os.close(fd)
    return None, points


def unmount_everywhere(cgroup: str, wanted: Callable[[Mount], bool]) -> None:
    """
    Unmount a disk in every mount namespace that a VM's processes have.

    @param cgroup: the container's path in its hierarchies.
    @raise DiskBusy: naming what still uses it.
    @raise OSError: if the kernel refuses for another reason.
    """
    deadline = time.monotonic() + PATIENCE
    for _ in range(ROUNDS):
        with suppress(ProcessLookupError):
            _unmount_in_all(cgroup, wanted, deadline)
            return
    raise DiskBusy("the processes that have the disk mounted come and go")


def _unmount_in_all(cgroup: str, wanted: Callable[[Mount], bool], deadline: float) -> None:
    """
    Unmount a disk in the mount namespaces that there are now.

    @raise ProcessLookupError: if all processes in one have ended.
    """
    for members in members_of_namespaces(cgroup):
        while (complaint := _unmount_or_complain(cgroup, members, wanted)) is not None:
            point, reason = complaint
            # Whom nobody can name may be a child of ours, about to become a program.
            if reason is not None or time.monotonic() > deadline:
                reason = reason or holders.NOBODY_KNOWN
                raise DiskBusy(
                    f"the disk is still in use at {printable(point, '')}, {reason}"
                )
            time.sleep(PAUSE)


def _unmount_or_complain(
    cgroup: str, members: Sequence[int], wanted: Callable[[Mount], bool]
) -> tuple[str, str | None] | None:
    """Unmount in one namespace, or return where that failed, and why if it is known."""
    kept = _ask(members, partial(_unmount_in, wanted))
    if kept is None:
        return None
    point, reason = kept
    return point, reason or holders.mount_holder(cgroup, point)


def _unmount_in(wanted: Callable[[Mount], bool], pid: int) -> tuple[str, str] | None:
    """
    Unmount a disk in one namespace.

    @return: where it stays mounted, and why if a mount is to blame for that; or nothing.
    """
    with _own_process() as own, inside(pid, CLONE_NEWNS):
        # One unmounting can bring about others, and uncover what was below.
        for _ in range(PASSES):
            mounts = _visible(own)
            found = [mount for mount in reversed(mounts) if wanted(mount)]
            if not found:
                return None
            done = [_unmounted(own, mount) for mount in found]
            if not any(done):
                break
        last = found[0]
        if not _is_on_top(own, last):
            return last.point, "under another mount"
        inner = [
            mount.point for mount in mounts if mount.point.startswith(f"{last.point}/")
        ]
        return last.point, f"with {printable(inner[0], '')} mounted in it" if inner else ""


@contextmanager
def _own_process() -> Iterator[int]:
    """Open this thread's entry in the host's /proc, for use in another namespace."""
    own = os.open("/proc/thread-self", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield own
    finally:
        os.close(own)


def _visible(own: int) -> list[Mount]:
    """Return all mounts of the namespace; a process in it may see only part of them."""
    with open(os.open("mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=own), "rb") as file:
        return mountinfo.parse(file.read())


def _is_on_top(own: int, mount: Mount) -> bool:
    """Say whether it is this mount that its mount point leads to."""
    try:
        fd = os.open(mount.point, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        info = os.open(f"fdinfo/{fd}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=own)
        with open(info, "rb") as file:
            return b"mnt_id:\t%d\n" % mount.number in file.read()
    finally:
        os.close(fd)


def _unmounted(own: int, mount: Mount) -> bool:
    if not _is_on_top(own, mount):
        return False
    try:
        mounting.unmount(mount.point)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EINVAL, errno.ENOENT):
            raise
        return False
    return True


def members_of_namespaces(cgroup: str) -> list[list[int]]:
    """Return the processes in each mount namespace that a VM's processes are in."""
    found: dict[str, list[int]] = {}
    for pid in sorted(hierarchies.processes(cgroup)):
        try:
            found.setdefault(os.readlink(f"/proc/{pid}/ns/mnt"), []).append(pid)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has ended, or is about to
    return list(found.values())
