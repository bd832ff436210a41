"""Layouts of cgroups that a host can have, made for some processes alone."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

CGROUPS = Path("/sys/fs/cgroup")
# A command line that runs another one where it sees the layout.
Layout: TypeAlias = tuple[str, ...]


def _with(commands: str) -> Layout:
    return (
        *("unshare", "--mount", "--propagation", "slave"),
        *("sh", "-c", f'{commands} && exec "$@"', "layout"),
    )


# What this machine has.
HOST: Layout = ()
# Cgroup v2 alone.  Controllers that v1 has are missing; all else is as on such a host.
IN_V2 = _with(f"umount -R {CGROUPS} && mount -t cgroup2 cgroup2 {CGROUPS}")
# Cgroup v1 alone, on a machine that has both.  The place of v2 is not to be there either.
IN_V1 = _with(
    f"hierarchies=$(grep ' cgroup ' /proc/self/mounts) && umount -R {CGROUPS} "
    f'&& mount -t tmpfs cgroup {CGROUPS} && echo "$hierarchies" '
    "| while read -r name point kind options rest; do "
    'mkdir "$point" && mount -t cgroup -o "$options" "$name" "$point"; done'
)
