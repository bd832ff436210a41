"""The disk that all is kept on: its room, and what its file system can do."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from runc_cpi.daemon.base.units import MEBIBYTE
from runc_cpi.daemon.doctor.finding import Finding, Patient, fault, fine, warning
from runc_cpi.daemon.host.disks import mountinfo
from runc_cpi.daemon.host.disks.mountinfo import Mount
from runc_cpi.daemon.storage.depot import Depot

FICLONE = 0x40049409  # linux/fs.h
LITTLE, TIGHT = 0.02, 0.1  # of all room
QUOTAS = {"prjquota", "pquota"}
MORE_ROOM = "runc-cpictl prune deletes stemcells that no VM uses"


def room(patient: Patient) -> Iterator[Finding]:
    """See how much room is left, in bytes and in files."""
    path = _existing(patient.config.work_dir)
    found = os.statvfs(path)
    free = found.f_bavail * found.f_frsize
    parts = [found.f_bavail / max(1, found.f_blocks)]
    seen = f"{free // MEBIBYTE} MiB are free where {path} is"
    if found.f_files:
        parts.append(found.f_favail / found.f_files)
        seen += f", and {found.f_favail} files"
    if min(parts) < LITTLE:
        yield fault("disk room", seen, MORE_ROOM)
    elif min(parts) < TIGHT:
        yield warning("disk room", seen, MORE_ROOM)
    else:
        yield fine("disk room", seen)


def file_system(patient: Patient) -> Iterator[Finding]:
    """Try what the file system can do; a file that this takes is gone at once."""
    # If this is killed, the next start removes what is there.
    path = _existing(Depot(patient.config.work_dir).scratch)
    mount = mount_of(path, mountinfo.read(os.getpid()))
    kind = "an unknown file system" if mount is None else mount.filesystem
    try:
        clones = "copies share blocks" if _clones(path) else "copies take their whole size"
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        yield warning("file system", f"{kind}: {error.strerror}", MORE_ROOM)
        return
    options = set() if mount is None else set(mount.options.split(","))
    quota = "project quotas" if options & QUOTAS else "no project quotas"
    yield fine("file system", f"{kind}: {clones}; {quota}")


def mount_of(path: Path, mounts: list[Mount]) -> Mount | None:
    """Return the mount that a path is on."""
    found = None
    for mount in mounts:
        is_longer = found is None or len(mount.point) >= len(found.point)
        if is_longer and path.is_relative_to(mount.point):
            found = mount
    return found


def _existing(path: Path) -> Path:
    """Return a directory, or the first above it that is there."""
    return next(each for each in (path, *path.parents) if each.exists())


def _clones(directory: Path) -> bool:
    """
    Say whether files can share blocks (ioctl_ficlone(2)).

    @raise OSError: if that cannot be tried.
    """
    with suppress(PermissionError), tempfile.TemporaryFile(dir=directory) as source:
        source.write(b"x" * 4096)
        source.flush()
        with tempfile.TemporaryFile(dir=directory) as target:
            try:
                fcntl.ioctl(target.fileno(), FICLONE, source.fileno())
            except OSError as error:
                if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL):
                    return False
                raise
            return True
    return False
