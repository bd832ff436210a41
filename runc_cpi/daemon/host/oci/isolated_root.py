"""The root file system of a VM of profile C{isolated}: its files belong to the VM's ids."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from runc_cpi.daemon.base.id_range import IdRange
from runc_cpi.daemon.host import detached_mounts, mounting, namespaces
from runc_cpi.daemon.host.user_namespaces import user_namespace
from runc_cpi.daemon.storage.bundle import Bundle


def namespace_with_root(bundle: Bundle, lower: Path, ids: IdRange) -> int:
    """
    Make a mount namespace in which the VM's root file system is mounted.

    The stemcell's files are shared by all VMs and stay as they are: this mount alone
    shows them as the VM's.  The upper layer holds the VM's own ids.

    This thread gets into the namespace, and must end.

    @param lower: the stemcell's root file system.
    @return: a descriptor of the namespace, which goes with the last that uses it.
    @raise OSError: if the kernel, or a file system, cannot do that.
    """
    namespaces.unshare_mounts()
    with user_namespace(ids) as users, detached_mounts.of_directory(lower) as mount:
        detached_mounts.map_ids(mount, users)
        point = os.open(bundle.rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            detached_mounts.move(mount, point)
        finally:
            os.close(point)
    mounting.mount_overlay(
        lower=bundle.rootfs,
        upper=bundle.upper,
        work=bundle.work,
        target=bundle.isolated_root,
    )
    return os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


def inside_namespace(argv: Sequence[str], namespace: int) -> list[str]:
    """
    Return the command line that runs a program in a mount namespace.

    @param namespace: a descriptor of this process, open until the program runs.
    """
    return ["nsenter", f"--mount=/proc/{os.getpid()}/fd/{namespace}", "--", *argv]
