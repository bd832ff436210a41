"""File systems that were frozen (ioctl_fsfreeze), and the way back."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress

from runc_cpi.daemon.host.cgroups.devices import LOOP_MAJOR
from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.daemon.vms.spec.confinement import GUARDED_IOCTLS

FITHAW = GUARDED_IOCTLS["FITHAW"]


def thaw(mounted: int) -> bool:
    """
    Have a file system take writes again.

    @param mounted: open on a file of it.
    @return: whether it was frozen.
    @raise OSError: if the kernel refuses.
    """
    try:
        fcntl.ioctl(mounted, FITHAW, 0)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True


def thaw_disk_at(tree: Tree, name: str) -> None:
    """
    Have what is written to a directory of a VM not wait for the VM to thaw its disk.

    Whoever writes to a frozen disk cannot even be killed.  What is on no loop device is
    left alone: it is the host's.
    """
    with suppress(OSError):
        fd = tree.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK)
        try:
            if os.major(os.fstat(fd).st_dev) == LOOP_MAJOR:
                thaw(fd)
        finally:
            os.close(fd)
