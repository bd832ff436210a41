"""The settings of the machine's kernel, which nothing may change."""

from __future__ import annotations

import os
from fnmatch import fnmatch
from pathlib import Path

SETTINGS = Path("/proc/sys")
SHARED = ("fs", "kernel", "vm")
# These tell what happens now, or are other at each look.
VOLATILE = (
    "fs/aio-nr",
    "fs/dentry-state",
    "fs/file-nr",
    "fs/inode-nr",
    "fs/inode-state",
    "fs/quota/*",
    "kernel/ns_last_pid",
    "kernel/pty/nr",
    "kernel/random/boot_id",
    "kernel/random/entropy_avail",
    "kernel/random/uuid",
)


def read() -> dict[str, str]:
    """Return the settings that all namespaces share, by their names."""
    found = {}
    for part in SHARED:
        for here, _, names in os.walk(SETTINGS / part):
            for path in (Path(here, name) for name in names):
                name = str(path.relative_to(SETTINGS))
                if any(fnmatch(name, pattern) for pattern in VOLATILE):
                    continue
                try:
                    found[name] = path.read_text("utf-8").strip()
                except OSError:
                    continue  # write-only, or of hardware that is not there
    return found


def changed(before: dict[str, str]) -> list[str]:
    """Return which settings are other than C{before}, with both values."""
    now = read()
    return [
        f"{name}: {before.get(name)!r} became {now.get(name)!r}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
