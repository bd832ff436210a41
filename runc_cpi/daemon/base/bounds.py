"""Between which numbers the bounds of VMs and networks are, wherever they are said."""

from __future__ import annotations

LEAST_PIDS = 64
MOST_PIDS = 1 << 22  # the kernel has no more (proc(5), pid_max)
LEAST_ROOT_DISK_SIZE = 64  # MiB
MOST_ROOT_DISK_SIZE = 1 << 23  # MiB; ext4 has files of less than 16 TiB (ext4(5))
# What IPv4 asks of a link, and the most that the kernel's virtual interfaces take (bytes).
LEAST_MTU, MOST_MTU = 576, 65535
LEAST_MTU_OF_IPV6 = 1280  # RFC 8200, 5
