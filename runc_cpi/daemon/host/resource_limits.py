"""Which resources the kernel can limit, for processes and for VMs."""

from __future__ import annotations

import resource
from pathlib import Path


def raise_open_files() -> None:
    """Let this process have as many open files as it may: connections are files too."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def open_files() -> int:
    """Return how many open files a process may be granted: as many as the daemon's own."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def swap_accounting() -> bool:
    """Say whether the kernel can bound memory and swap together."""
    v1 = Path("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")
    # On v2 the root has no such file, but every cgroup below it does, or none.
    v2 = Path("/sys/fs/cgroup").glob("*/memory.swap.max")
    return v1.exists() or any(v2)


def pids_accounting(root: Path = Path("/sys/fs/cgroup")) -> bool:
    """Say whether the kernel can bound how many processes a VM has."""
    try:
        controllers = (root / "cgroup.controllers").read_text("ascii").split()
    except FileNotFoundError:
        controllers = []
    return (root / "pids").is_dir() or "pids" in controllers
