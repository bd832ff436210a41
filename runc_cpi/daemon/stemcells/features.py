"""What a VM needs to know of a stemcell's root file system."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runc_cpi.daemon.storage.tree import Tree

RUNIT_INIT = "usr/sbin/runsvdir-start"
SYSTEMD_INIT = "sbin/init"
SYSTEMD_AGENTS = (
    "etc/systemd/system/bosh-agent.service",
    "lib/systemd/system/bosh-agent.service",
)
SYNC_TIME = "var/vcap/bosh/bin/sync-time"
RESOLVED = "lib/systemd/systemd-resolved"
# Where distributions have systemd's own library, which is named after its version.
SYSTEMD_LIBRARIES = (
    "usr/lib/systemd",
    "usr/lib64/systemd",
    "usr/lib/x86_64-linux-gnu/systemd",
    "usr/lib/aarch64-linux-gnu/systemd",
)
_LIBRARY = re.compile(r"libsystemd-shared-(\d{1,4})\D.*")


@dataclass(frozen=True, kw_only=True)
class Features:
    """
    What a VM needs to know of a stemcell's root file system.

    @ivar init: which init boots it, C{runit} or C{systemd}, or L{None} if it has none.
    @ivar sync_time: whether it has the agent's script that sets the clock.
    @ivar resolved: whether systemd boots it, and systemd-resolved is in it.
    @ivar systemd: the version of systemd, or L{None} if it has none or does not tell.
    """

    init: str | None
    sync_time: bool
    resolved: bool
    systemd: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the features as the stemcell's record has them."""
        return asdict(self)


def inspect(rootfs: Path) -> Features | None:
    """
    Look into a root file system.

    A stemcell can have both inits: jammy's has files of systemd and is supervised by
    runit, noble's the other way round.  The init that the agent is a service of boots it.

    @return: its features, or L{None} if it is no root file system.
    @raise OSError: if there is no such directory.
    """
    with Tree.at(rootfs) as tree:
        runit = _is_program(tree, RUNIT_INIT)
        systemd = tree.resolve(SYSTEMD_INIT) == "systemd"
        agent_unit = any(tree.stat(unit) is not None for unit in SYSTEMD_AGENTS)
        if systemd and (agent_unit or not runit):
            init = "systemd"
        elif runit:
            init = "runit"
        elif _is_program(tree, "bin/sh"):
            init = None
        else:
            return None
        return Features(
            init=init,
            sync_time=tree.stat(SYNC_TIME) is not None,
            resolved=init == "systemd" and tree.stat(RESOLVED) is not None,
            systemd=_systemd_version(tree),
        )


def _systemd_version(tree: Tree) -> int | None:
    versions = []
    for directory in SYSTEMD_LIBRARIES:
        try:
            fd = tree.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            found = map(_LIBRARY.fullmatch, os.listdir(fd))
            versions += [int(match[1]) for match in found if match is not None]
        finally:
            os.close(fd)
    return max(versions, default=None)


def _is_program(tree: Tree, name: str) -> bool:
    found = tree.stat(name)
    return found is not None and stat.S_ISREG(found.st_mode) and found.st_mode & 1 == 1
