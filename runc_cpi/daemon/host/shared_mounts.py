"""File systems that the host shares with its VMs: no VM can make them read-only."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from twisted.logger import Logger

from runc_cpi.daemon.host import mounting
from runc_cpi.daemon.host.disks.mountinfo import Mount

CGROUPS = ("cgroup", "cgroup2")
# The host's own, and of which there is one for all who mount it.  Without the first no
# cgroup can be made, without the second there are no nodes for new devices.
SHARED = (*CGROUPS, "devtmpfs")
# A VM that makes a file system read-only again and again may be quicker a few times.
ATTEMPTS = 1000


class SharedMounts:
    """
    Keeps file systems writable, by a file of each that is open for writing.

    Who may mount such a file system may make it read-only, for the host as well.  The
    kernel refuses that while a file of it is open for writing (C{EBUSY} of mount(2)).
    """

    log = Logger()

    def __init__(self) -> None:
        self._held: dict[str, int] = {}

    @property
    def descriptors(self) -> list[int]:
        """The open files, one of each file system."""
        return list(self._held.values())

    def hold(self, mounts: Iterable[Mount]) -> None:
        """
        Make the file systems writable that are not, and keep them so.

        @param mounts: those of the host, among others.
        """
        failed: dict[str, tuple[str, str]] = {}
        for mount in mounts:
            if mount.filesystem in SHARED and mount.device not in self._held:
                try:
                    self._hold(mount)
                except OSError as error:
                    failed[mount.device] = (mount.point, str(error.strerror))
        for device in failed.keys() - self._held.keys():
            point, reason = failed[device]
            self.log.warn(
                "a VM may be able to make {point} read-only: {reason}",
                point=point,
                reason=reason,
            )

    def _hold(self, mount: Mount) -> None:
        fd = _open(mount)
        if fd is None:
            fd = _make_writable(mount)
            self.log.warn(
                "repair: {point} was read-only, and is writable again", point=mount.point
            )
        if _device(fd) == mount.device:
            self._held[mount.device] = fd
        else:
            os.close(fd)  # something else is mounted over it

    def release(self) -> None:
        """Let go of the file systems."""
        while self._held:
            os.close(self._held.popitem()[1])


def _open(mount: Mount) -> int | None:
    """
    Open a file for writing, to which nothing is written.

    @return: its descriptor, or L{None} if the file system is read-only.
    @raise OSError: if that is not possible for another reason.
    """
    path, flags = mount.point, os.O_WRONLY | os.O_CLOEXEC
    if mount.filesystem in CGROUPS:
        path = os.path.join(path, "cgroup.procs")
    else:
        flags |= os.O_TMPFILE
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno == errno.EROFS and mount.options.split(",")[0] == "ro":
            return None
        raise


def _make_writable(mount: Mount) -> int:
    """
    Make a file system writable, and open a file of it before a VM undoes that.

    @return: the descriptor of the file.
    @raise OSError: if that is not possible.
    """
    options = mount.options.partition(",")[2]
    for _ in range(ATTEMPTS):
        mounting.make_file_system_writable(mount.point, options)
        fd = _open(mount)
        if fd is not None:
            return fd
    raise OSError(errno.EROFS, "it is made read-only again and again")


def _device(fd: int) -> str:
    """Return the number of the device that a file is on, as mountinfo has it."""
    device = os.fstat(fd).st_dev
    return f"{os.major(device)}:{os.minor(device)}"
