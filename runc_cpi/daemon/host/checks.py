"""What this host must have, found out before the daemon serves."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from runc_cpi.daemon.host.disks.filesystems import EXT4, FILESYSTEMS

REQUIRED = ("tar", "rm", "sync", "cp", "sh", "mount", "umount", "unshare", "setpriv")


class HostUnfit(Exception):
    """This host lacks something; the message says what."""


def check_root() -> None:
    """
    @raise HostUnfit: if this is not root.
    """
    if os.geteuid() != 0:
        raise HostUnfit("must run as root: containers, mounts and interfaces need it")


def check_programs() -> None:
    """
    @raise HostUnfit: if a program is missing.
    """
    for program in REQUIRED:
        if shutil.which(program) is None:
            raise HostUnfit(f"{program} is not on the PATH; install it")


def check_loop_devices(filesystem: str) -> None:
    """
    @raise HostUnfit: if disks cannot be made of files here.
    """
    way_out = "; disks.driver: directory does without, and without sizes"
    if not Path("/dev/loop-control").exists():
        raise HostUnfit(f"disks.driver: image needs loop devices, not to be had{way_out}")
    for program in FILESYSTEMS[filesystem].programs:
        if shutil.which(program) is None:
            raise HostUnfit(
                f"disks.driver: image needs {program}, which is not on the PATH{way_out}"
            )


def check_root_disks() -> None:
    """
    @raise HostUnfit: if root disks of VMs cannot be made here.
    """
    for program in EXT4.programs:
        if shutil.which(program) is None:
            raise HostUnfit(
                f"vms.root_disk_size needs {program}, which is not on the PATH; "
                "vms.root_disk_size: 0 does without, and without a bound"
            )


def find_runtime(name: str) -> str:
    """
    Return the path of the OCI runtime C{name}.

    @raise HostUnfit: if there is no such program.
    """
    path = shutil.which(name)
    if path is None:
        raise HostUnfit(
            f"runtime: {name} is not on the PATH; name an OCI runtime such as runc, or "
            "its path"
        )
    return path
