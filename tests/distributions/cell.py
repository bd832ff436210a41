"""Runs programs in a tree of files as on a machine of its own, in namespaces."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import IO

from tests.distributions import contained

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
CGROUPS = Path("/sys/fs/cgroup")
# Where in a tree daemons are, and how far down.
HOMES = ("tmp", "var/tmp")
DEPTH = 3
PATIENCE = 20.0
# Enters a cell.  The first process must be one that reaps others: bash does.  It is told
# the tree, whether it is online, a directory, and the program with its arguments.
ENTER = r"""
set -eu
root=$1 online=$2 directory=$3
shift 3
mount --bind "$root" "$root"  # pivot_root(2) asks for a mount
cd "$root"
mount -t proc proc proc
# Most settings of the kernel are the machine's, whatever namespace writes them.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t tmpfs -o mode=755 tmpfs run
if [ "$online" = no ]; then
  mount --bind proc/sys/net proc/sys/net
  mount -o remount,bind,rw proc/sys/net
  ip link set lo up
  mount -t sysfs sysfs sys
  mount --rbind /sys/fs/cgroup sys/fs/cgroup
  mount --rbind /dev dev
fi
hostname cell
pivot_root . mnt
cd /
umount -l /mnt
cd "$directory"
"$@"
exit $?
"""


class Cell:
    """
    A tree of files in which programs run with own mounts, processes, and host name.

    All that they started ends with them.  They cannot change the settings of the kernel,
    and see of the machine's files only what this says.

    @ivar root: the tree.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(
        self,
        argv: Sequence[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        output: IO[bytes],
        seconds: float,
        online: bool = False,
    ) -> int:
        """
        Run a program in the cell.

        @param directory: its working directory.
        @param environment: all of its environment.
        @param output: where it writes to.
        @param seconds: after how many it is ended, with all that it has started.
        @param online: whether it has the machine's network, but neither devices nor
            cgroups; else it has those of the machine, and a network of its own.
        @return: its exit status.
        @raise subprocess.TimeoutExpired: if it was ended.
        """
        enter = [
            "/bin/bash",
            "-c",
            ENTER,
            "cell",
            str(self.root),
            "yes" if online else "no",
        ]
        return contained.run(
            [*enter, str(directory), *argv],
            environment={"PATH": PATH, **environment},
            output=output,
            seconds=seconds,
            namespaces=["--ipc", "--uts", *([] if online else ["--net"])],
        )

    def clean(self) -> list[str]:
        """
        Remove what its programs left on the machine when they were ended.

        @return: what that was.
        """
        left = [f"cgroup {path}" for path in self._cgroups()]
        deadline = time.monotonic() + PATIENCE
        # Processes that were killed take a moment to end.
        while (found := self._cgroups()) and time.monotonic() < deadline:
            for path in sorted(found, key=lambda path: -len(path.parts)):
                with suppress(OSError):
                    path.rmdir()
            time.sleep(0.05)
        assert not found, f"cannot be removed: {found}"
        for name in self._loops():
            left.append(f"loop device {name}")
            subprocess.run(["losetup", "--detach", name], check=True)
        return left

    def _directories(self) -> list[Path]:
        """Return all directories in which a daemon can have been."""
        found = []
        for home in HOMES:
            top = self.root / home
            for here, names, _ in os.walk(top):
                found += [Path(here, name) for name in names]
                if len(Path(here).relative_to(top).parts) >= DEPTH - 1:
                    names.clear()
        return found

    def _cgroups(self) -> list[Path]:
        """Return the cgroups of all daemons of the cell, which go by where these were."""
        names = {
            f"runc-cpid-{sha256(f'/{path.relative_to(self.root)}'.encode()).hexdigest()[:8]}"
            for path in self._directories()
        }
        tops = [CGROUPS, *(path for path in CGROUPS.iterdir() if path.is_dir())]
        return [
            Path(here)
            for top in tops
            for name in names.intersection(os.listdir(top))
            for here, _, _ in os.walk(top / name)
        ]

    def _loops(self) -> list[str]:
        """Return the loop devices of files of the cell."""
        listing = ["losetup", "--json", "--list", "--output", "NAME,BACK-MAJ:MIN,BACK-INO"]
        listed = subprocess.run(listing, stdout=subprocess.PIPE, check=True).stdout
        # No loop device, no document.
        devices = json.loads(listed)["loopdevices"] if listed else []
        files = {
            (f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}", status.st_ino)
            for home in HOMES
            for here, _, names in os.walk(self.root / home)
            for status in (os.lstat(Path(here, name)) for name in names)
        }
        return [
            device["name"]
            for device in devices
            if (device["back-maj:min"].strip(), device["back-ino"]) in files
        ]
