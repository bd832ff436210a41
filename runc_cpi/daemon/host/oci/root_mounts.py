"""A VM's root file system, mounted where only its container sees it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from runc_cpi.daemon.base.id_range import IdRange
from runc_cpi.daemon.host import detached_mounts, mounting, namespaces
from runc_cpi.daemon.host.oci.views import Views
from runc_cpi.daemon.host.user_namespaces import user_namespace
from runc_cpi.daemon.storage.bundle import Bundle


def namespace_with_root(bundle: Bundle, lower: Path, views: Views) -> int:
    """
    Make a mount namespace in which the VM's root file system is mounted: an overlay.

    The mounts go when the last process in the namespace ends, so there is nothing to
    unmount, and nothing that a crash could leave.  Mounts that the host makes later still
    arrive.  This thread gets into the namespace, and must end.

    @param lower: the stemcell's root file system, which stays as it is.
    @param views: hide the mounts of other VMs.
    @return: a descriptor of the namespace, which goes with the last that uses it.
    @raise OSError: if the kernel, or a file system, cannot do that.
    """
    views.enter(bundle.path)
    ids = bundle.ids
    if ids is None:
        _mount_overlay(bundle, lower, bundle.rootfs)
    else:
        _mount_as_own(lower, ids, bundle.rootfs)
        _mount_overlay(bundle, bundle.rootfs, bundle.isolated_root)
    if bundle.data.is_symlink():
        _mount_data(bundle.layers / bundle.data.name)
    return namespaces.own_mounts()


def _mount_overlay(bundle: Bundle, lower: Path, target: Path) -> None:
    mounting.mount_overlay(lower=lower, upper=bundle.upper, work=bundle.work, target=target)


def _mount_data(directory: Path) -> None:
    """Mount data that is on a root disk so that programs and nodes in it are the VM's."""
    if not stat.S_ISDIR(os.lstat(directory).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory))
    mounting.bind(str(directory), str(directory))
    mounting.lift_bounds(str(directory))


def _mount_as_own(lower: Path, ids: IdRange, target: Path) -> None:
    """
    Mount a stemcell's files so that they are the VM's.

    All VMs share them, and they stay as they are: this mount alone shows them so.
    """
    with user_namespace(ids) as users, detached_mounts.of_directory(lower) as mount:
        detached_mounts.map_ids(mount, users)
        point = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            detached_mounts.move(mount, point)
        finally:
            os.close(point)


@contextmanager
def inside_namespace(argv: Sequence[str], namespace: int) -> Iterator[Sequence[str]]:
    """
    Return the command line that runs a program in a mount namespace.

    @param namespace: a descriptor of this process, which is closed in the end.
    """
    try:
        yield ["nsenter", f"--mount=/proc/{os.getpid()}/fd/{namespace}", "--", *argv]
    finally:
        os.close(namespace)
