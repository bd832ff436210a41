"""What a VM left in its file system when it ran last, and what would harm its next boot."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.daemon.vms.files.guest_files import HOSTNAME, READ_LIMIT

# The agent notes here which disk it mounted last.
MANAGED_DISK = "var/vcap/bosh/managed_disk_settings.json"
VALID_HOSTNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")
# What the OCI runtime mounts on.
MOUNT_POINTS = ("dev", "proc", "sys")


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """
    What a VM left when it ran last.

    @ivar mounted: the disk that was mounted at /var/vcap/store, or L{None}.
    @ivar hostname: the name that its agent gave the VM, or L{None}.
    """

    mounted: str | None
    hostname: str | None


def look_back(
    lower: Path, upper: Path, disk_cids: Collection[str], owner: int = 0
) -> LastRun:
    """
    See what a VM left when it ran last, and put right what would harm its boot.

    The agent does not mount its disk again when it starts, and does not start when the
    disk it last mounted is gone.  It sets the host name only once.

    @param lower: the stemcell's root file system.
    @param upper: the upper layer of a VM that does not run.
    @param disk_cids: the disks that the VM has.
    @param owner: the id of the VM's root on the host.
    @raise OSError: if the file system cannot be read or changed.
    """
    make_mount_points(lower, upper, owner)
    with Tree.at(upper) as tree:
        mounted = managed_disk(tree)
        if mounted is not None and mounted not in disk_cids:
            forget_managed_disk(tree)
        return LastRun(mounted=mounted, hostname=hostname(tree))


def hostname(tree: Tree) -> str | None:
    """Return the host name that the agent gave a VM, or L{None} if it is none."""
    raw = tree.read(HOSTNAME, READ_LIMIT)
    name = (raw or b"").decode("utf-8", "replace").strip()
    return name if VALID_HOSTNAME.fullmatch(name) else None


def managed_disk(tree: Tree) -> str | None:
    """Return the disk that the agent of a VM noted as mounted, or L{None}."""
    raw = tree.read(MANAGED_DISK, READ_LIMIT)
    return raw.decode("utf-8", "replace").strip() or None if raw is not None else None


def forget_managed_disk(tree: Tree) -> None:
    """Remove that note: an agent does not start when the disk is gone."""
    tree.remove(MANAGED_DISK)


def make_mount_points(lower: Path, upper: Path, owner: int = 0) -> None:
    """
    Make sure that what the OCI runtime mounts on is a directory of the VM, and no link.

    The runtime goes by some of these names on the host (for /dev/ptmx and the like), and
    a link that a stemcell or a VM put there would have it write to where that leads.

    @param lower: the stemcell's root file system.
    @param upper: the upper layer of a VM that does not run.
    @param owner: the id of the VM's root on the host.
    """
    for name in MOUNT_POINTS:
        found = [path for path in (upper / name, lower / name) if os.path.lexists(path)]
        if not found or not stat.S_ISDIR(os.lstat(found[0]).st_mode):
            (upper / name).unlink(missing_ok=True)
            (upper / name).mkdir()
            (upper / name).chmod(0o755)
            if owner:
                os.chown(upper / name, owner, owner)
