"""A VM's container as the parts of the daemon need to know it."""

from __future__ import annotations

from dataclasses import dataclass

from runc_cpi.daemon.storage.bundle import Bundle


@dataclass(frozen=True, kw_only=True)
class ContainerState:
    """
    What a VM's container is at one moment (OCI runtime specification, "state").

    @ivar bundle: its directory.
    @ivar pid: its first process, or L{None} while it does not run.
    @ivar cgroup: the path of the VM's cgroup in the cgroup hierarchies.
    """

    bundle: Bundle
    pid: int | None
    cgroup: str

    @property
    def vm_cid(self) -> str:
        """The VM."""
        return self.bundle.vm_cid
