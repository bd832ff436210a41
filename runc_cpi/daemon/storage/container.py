"""A VM's container as the parts of the daemon need to know it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ContainerState:
    """
    What a VM's container is at one moment (OCI runtime specification, "state").

    @ivar bundle: its directory.
    @ivar pid: its first process, or L{None} while it does not run.
    @ivar cgroup: its path in the cgroup hierarchies.
    """

    bundle: Path
    pid: int | None
    cgroup: str

    @property
    def vm_cid(self) -> str:
        """The VM, which its directory is named after."""
        return self.bundle.name
