"""Layouts of cgroups that a host can have, made for some processes alone."""

from __future__ import annotations

# Controllers that v1 has are missing in v2; all else is as on a host with v2 alone.
_ALONE = 'umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"'
# A command line that runs another one on a host with v2 alone.
IN_V2 = ("unshare", "--mount", "--propagation", "slave", "sh", "-c", _ALONE, "v2")
