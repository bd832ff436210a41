"""How many processes and threads a VM may have, wherever that is said."""

from __future__ import annotations

LEAST_PIDS = 64
MOST_PIDS = 1 << 22  # the kernel has no more (proc(5), pid_max)
