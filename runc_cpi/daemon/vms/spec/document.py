"""The OCI runtime specification of a VM's container, which C{config.json} holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from runc_cpi.daemon.base.id_range import IdRange
from runc_cpi.daemon.base.units import MEBIBYTE
from runc_cpi.daemon.disks.disk import BootParts
from runc_cpi.daemon.vms.device_rules import ALLOWED, NOTHING
from runc_cpi.daemon.vms.inits import Init
from runc_cpi.daemon.vms.spec.cgroup_path import container_cgroup
from runc_cpi.daemon.vms.spec.confinement import (
    MASKED_PATHS,
    READONLY_PATHS,
    seccomp_profile,
)
from runc_cpi.daemon.vms.spec.mount_table import (
    MOUNTS,
    bind_mount,
    cover,
    sized,
    sys_mount,
)
from runc_cpi.daemon.vms.spec.user_namespace import id_mappings

NO_DISKS = BootParts()
NO_COVERS: Mapping[str, str] = MappingProxyType({})
NAMESPACES = ("pid", "ipc", "uts", "mount", "network", "cgroup")
CPU_PERIOD = 100_000  # microseconds


def limits(
    *, cpu: float | None, ram: int | None, pids: int | None, swap_accounting: bool
) -> dict[str, Any]:
    """
    Return the cgroup limits of a VM.

    @param cpu: processors, or L{None} for no limit.
    @param ram: MiB, or L{None} for no limit.
    @param pids: processes and threads, or L{None} for no limit.
    @param swap_accounting: whether the kernel can bound memory and swap together.
    """
    devices = [NOTHING, *(rule.to_spec() for rule in ALLOWED)]
    resources: dict[str, Any] = {"devices": devices}
    if pids is not None:
        resources["pids"] = {"limit": pids}
    if cpu is not None:
        resources["cpu"] = {"quota": round(cpu * CPU_PERIOD), "period": CPU_PERIOD}
    if ram is not None:
        resources["memory"] = {"limit": ram * MEBIBYTE}
        if swap_accounting:
            resources["memory"]["swap"] = ram * MEBIBYTE
    return resources


def runtime_spec(
    *,
    hostname: str,
    init: Init,
    binds: Mapping[str, str],
    cgroup: str,
    capabilities: Sequence[str],
    resources: Mapping[str, Any],
    open_files: int,
    disks: BootParts = NO_DISKS,
    covers: Mapping[str, str] = NO_COVERS,
    privileged: bool = False,
    guarded: bool = False,
    ids: IdRange | None = None,
    root: str = "rootfs",
) -> dict[str, Any]:
    """
    Return the specification of a container (OCI runtime specification 1.0.2).

    @param binds: directories of the host, by their mount points in the VM.
    @param cgroup: the path of the VM's cgroup; the container's is in it.
    @param capabilities: what the VM may do; never more than the daemon itself.
    @param resources: the cgroup limits.
    @param open_files: how many each process may have; never more than the daemon itself.
    @param disks: the mounts, device nodes and device rules of the VM's disks.
    @param covers: files and directories of the host, by those of the VM's /proc and /sys
        that they stand for.
    @param privileged: whether nothing of the host is kept from the VM.
    @param guarded: whether to refuse the system calls that some capabilities would allow.
    @param ids: the ids of the VM's users on the host: it gets a user namespace then; or
        L{None} if they are the host's.
    @param root: where the root file system is, from the bundle.
    """
    granted = list(capabilities)
    kinds = NAMESPACES if ids is None else (*NAMESPACES, "user")
    memory = resources.get("memory", {}).get("limit")
    mounts = [
        sys_mount(privileged=privileged),
        *(sized(mount, memory) for mount in (*MOUNTS, *init.mounts)),
        *(bind_mount(destination, source) for destination, source in binds.items()),
        *disks.mounts,
        *(cover(destination, source) for destination, source in covers.items()),
    ]
    rules = [*resources["devices"], *disks.rules]
    return {
        "ociVersion": "1.0.2",
        "hostname": hostname,
        "root": {"path": root},
        "process": {
            "user": {"uid": 0, "gid": 0},
            "cwd": "/",
            "args": list(init.argv),
            "env": list(init.env),
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": open_files, "soft": open_files}],
            "capabilities": {
                "bounding": granted,
                "effective": granted,
                "permitted": granted,
                "inheritable": [],
            },
        },
        "mounts": mounts,
        "linux": {
            "rootfsPropagation": "rslave",
            "cgroupsPath": container_cgroup(cgroup),
            "namespaces": [{"type": kind} for kind in kinds],
            **({} if ids is None else id_mappings(ids)),
            "resources": {**resources, "devices": rules},
            "devices": list(disks.devices),
            "readonlyPaths": [] if privileged else list(READONLY_PATHS),
            "maskedPaths": [] if privileged else list(MASKED_PATHS),
            **({} if privileged else {"seccomp": seccomp_profile(guarded=guarded)}),
        },
    }
