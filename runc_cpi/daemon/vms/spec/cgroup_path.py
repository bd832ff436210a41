"""Where the cgroups of a VM are, as paths below the root of each hierarchy."""

from __future__ import annotations

# A VM sees the cgroup of its container as the root, and can write to it.  That cgroup is
# in the VM's, which the VM cannot reach: limits that are set there stay.
INSIDE = "inside"


def vm_cgroup(parent: str, vm_cid: str) -> str:
    """
    Return the path of a VM's cgroup.

    @param parent: the path that the cgroups of all VMs of this daemon are below.
    """
    return f"{parent}/{vm_cid}"


def container_cgroup(cgroup: str) -> str:
    """
    Return the path of the cgroup that the VM's container is in.

    @param cgroup: the path of the VM's cgroup.
    """
    return f"{cgroup}/{INSIDE}"
