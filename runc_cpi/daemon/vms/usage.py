"""What a VM uses of its host."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Usage:
    """
    What a VM that runs uses, and what it has used since it booted.

    What the host does not count is L{None}.

    @ivar cpu_seconds: time of processors, since it booted.
    @ivar cpu_limit: how many processors it may use at a time, or L{None} for all.
    @ivar memory: bytes, without copies of files that the kernel can drop at once.
    @ivar memory_limit: bytes, or L{None} for no limit.
    @ivar pids: processes and threads.
    @ivar disk: bytes of the host's file system that its root disk and its ephemeral disk
        take; L{None} if it has neither.
    @ivar disk_limit: bytes that these may take, or L{None} if it has neither.
    @ivar read: bytes read from block devices, since it booted; on a host with cgroup v2
        from those alone that are on no other.
    @ivar written: bytes written to these, since it booted.
    @ivar received: bytes by all its interfaces, since it booted.
    @ivar sent: bytes by all its interfaces, since it booted.
    """

    cpu_seconds: float | None
    cpu_limit: float | None
    memory: int | None
    memory_limit: int | None
    pids: int | None
    disk: int | None
    disk_limit: int | None
    read: int | None
    written: int | None
    received: int
    sent: int

    def to_json(self) -> dict[str, Any]:
        """Return it as the operator is told."""
        return asdict(self)
