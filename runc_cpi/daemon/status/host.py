"""What the page is told of the host."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from runc_cpi import __version__


def host_view(work_dir: Path) -> dict[str, Any]:
    """
    Look at the host; this blocks.

    @param work_dir: on whose file system disks and stemcells are.
    @raise OSError: if that cannot be looked at.
    """
    room = os.statvfs(work_dir)
    return {
        "name": socket.gethostname(),
        "version": __version__,
        "processors": len(os.sched_getaffinity(0)),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "room": room.f_blocks * room.f_frsize,
        "free_room": room.f_bavail * room.f_frsize,
    }
