"""The OCI runtime specification of a VM's container."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runc_cpi.daemon.disks.disk import BootParts
from runc_cpi.daemon.vms.device_rules import ALLOWED, NOTHING

NO_DISKS = BootParts()
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CPU_PERIOD = 100_000
MEBIBYTE = 1 << 20
# A VM sees the cgroup of its container as the root, and can write to it.  That is in one
# more, which the VM cannot reach: what is set there bounds it for good.
INSIDE = "inside"

# What can harm the host, or sets what all of the host shares, and no stemcell needs.
DROPPED_CAPABILITIES = frozenset(
    "CAP_" + name
    for name in (
        "AUDIT_CONTROL",
        "BLOCK_SUSPEND",
        "LINUX_IMMUTABLE",
        "MAC_ADMIN",
        "MAC_OVERRIDE",
        "SYSLOG",
        "SYS_BOOT",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_TIME",
        "WAKE_ALARM",
    )
)

# What these allow.  A VM that has them, to pass them on to what it runs, is refused this
# by a filter instead: 32-bit programs have names of their own for some of it.
GUARDED_CALLS = (
    "adjtimex", "clock_adjtime", "clock_adjtime64", "clock_settime", "clock_settime64",
    "settimeofday", "stime",
    "init_module", "finit_module", "delete_module",
    "kexec_load", "kexec_file_load", "reboot",
    "ioperm", "iopl", "syslog",
)  # fmt: skip
# Programs of other kinds would be killed; of these, a machine runs its own.
ARCHITECTURES = (
    "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32",
    "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM",
)  # fmt: skip

# What stops a whole file system, to whoever may administer one: the host's own is within
# reach of every VM, as the one that its files are on.  The kernel looks at 32 bits of an
# ioctl's number alone, and so must the filter (ioctl_list(2), linux/fs.h).
WORD = 0xFFFFFFFF
GUARDED_IOCTLS = {
    "FIFREEZE": 0xC0045877,  # XFS_IOC_FREEZE is the same
    "FITHAW": 0xC0045878,
    "FS_IOC_SHUTDOWN": 0x8004587D,  # of ext4, XFS and f2fs
}

# Kernel tunables of the host.  /proc/sys/net stays writable: it is the VM's own.
READONLY_PATHS = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys/debug",
    "/proc/sys/dev",
    "/proc/sys/fs",
    "/proc/sys/kernel",
    "/proc/sys/vm",
    "/proc/sysrq-trigger",
)
# Of these the VM has its own (ipc_namespaces(7)).
WRITABLE_PATHS = (
    "/proc/sys/fs/mqueue",
    "/proc/sys/kernel/msgmax",
    "/proc/sys/kernel/msgmnb",
    "/proc/sys/kernel/msgmni",
    "/proc/sys/kernel/sem",
    "/proc/sys/kernel/shm_rmid_forced",
    "/proc/sys/kernel/shmall",
    "/proc/sys/kernel/shmmax",
    "/proc/sys/kernel/shmmni",
)
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/kmsg",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/firmware",
    "/sys/fs/bpf",
    "/sys/kernel/debug",
)


@dataclass(frozen=True, kw_only=True)
class Boot:
    """
    How an init is started.

    @ivar argv: its command line.
    @ivar env: its environment.
    @ivar mounts: what it needs on top of L{MOUNTS}.
    """

    argv: Sequence[str]
    env: Sequence[str] = (f"PATH={PATH}", "TERM=xterm")
    mounts: Sequence[Mapping[str, Any]] = ()


def _mount(destination: str, kind: str, *options: str) -> dict[str, Any]:
    return {
        "destination": destination,
        "type": kind,
        "source": kind,
        "options": list(options),
    }


MOUNTS = (
    _mount("/proc", "proc", "nosuid", "noexec", "nodev"),
    _mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
    _mount(
        "/dev/pts",
        "devpts",
        "nosuid",
        "noexec",
        "newinstance",
        "ptmxmode=0666",
        "mode=0620",
    ),
    _mount("/dev/shm", "tmpfs", "nosuid", "nodev", "mode=1777"),
    _mount("/dev/mqueue", "mqueue", "nosuid", "noexec", "nodev"),
    _mount("/sys/fs/cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime"),
)

BOOTS = {
    "runit": Boot(argv=["/usr/sbin/runsvdir-start"]),
    "systemd": Boot(
        argv=["/sbin/init"],
        # systemd looks here to learn that it runs in a container (systemd(1)).
        env=(f"PATH={PATH}", "TERM=xterm", "container=oci"),
        mounts=(
            _mount("/run", "tmpfs", "nosuid", "nodev", "mode=755"),
            _mount(
                "/run/lock", "tmpfs", "nosuid", "nodev", "noexec", "mode=1777", "size=5120k"
            ),
        ),
    ),
}
# How much of the memory these may take, in percent, as on a machine with systemd.
MEMORY_SHARES = {"/dev/shm": 50, "/run": 20}


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
    boot: Boot,
    binds: Mapping[str, str],
    cgroup: str,
    capabilities: Sequence[str],
    resources: Mapping[str, Any],
    open_files: int,
    disks: BootParts = NO_DISKS,
    privileged: bool = False,
    guarded: bool = False,
) -> dict[str, Any]:
    """
    Build a C{config.json} (OCI runtime specification 1.0.2).

    @param binds: host directories by where they appear in the VM.
    @param cgroup: the VM's path below the root of each cgroup hierarchy; the container's
        is L{INSIDE} it.
    @param capabilities: what the VM may do; never more than the daemon itself.
    @param resources: the cgroup limits.
    @param open_files: how many each process may have; never more than the daemon itself.
    @param privileged: whether nothing of the host is kept from it.
    @param guarded: whether further system calls are refused, which what it may do would
        allow.
    @param disks: the mounts, nodes and device rules for the VM's disks.
    """
    shared = [
        {
            "destination": destination,
            "type": "bind",
            "source": source,
            "options": ["rbind", "rslave", "rw"],
        }
        for destination, source in binds.items()
    ]
    granted = list(capabilities)
    # systemd takes a read-only /sys as the mark of a container, and leaves devices alone.
    sys = _mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "rw" if privileged else "ro")
    memory = resources.get("memory", {}).get("limit")
    own = [_sized(mount, memory) for mount in (*MOUNTS, *boot.mounts)]
    mounts = [sys, *own, *shared, *disks.mounts]
    rules = [*resources["devices"], *disks.rules]
    return {
        "ociVersion": "1.0.2",
        "hostname": hostname,
        "root": {"path": "rootfs"},
        "process": {
            "user": {"uid": 0, "gid": 0},
            "cwd": "/",
            "args": list(boot.argv),
            "env": list(boot.env),
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
            "cgroupsPath": f"{cgroup}/{INSIDE}",
            "namespaces": [
                {"type": kind}
                for kind in ("pid", "ipc", "uts", "mount", "network", "cgroup")
            ],
            "resources": {**resources, "devices": rules},
            "devices": list(disks.devices),
            "readonlyPaths": [] if privileged else list(READONLY_PATHS),
            "maskedPaths": [] if privileged else list(MASKED_PATHS),
            **({} if privileged else {"seccomp": _guard(guarded)}),
        },
    }


def _sized(mount: Mapping[str, Any], memory: int | None) -> Mapping[str, Any]:
    """
    Bound a mount that takes memory, by that of the VM, or of the host if it has no bound.

    @param memory: bytes, or L{None} for no bound.
    """
    share = MEMORY_SHARES.get(mount["destination"])
    if share is None:
        return mount
    size = f"{share}%" if memory is None else str(memory * share // 100)
    return {**mount, "options": [*mount["options"], f"size={size}"]}


def _guard(guarded: bool) -> dict[str, Any]:
    refused: list[dict[str, Any]] = [
        {
            "names": ["ioctl"],
            "action": "SCMP_ACT_ERRNO",
            "args": [
                {"index": 1, "value": WORD, "valueTwo": number, "op": "SCMP_CMP_MASKED_EQ"}
            ],
        }
        for number in GUARDED_IOCTLS.values()
    ]
    if guarded:
        refused.append({"names": list(GUARDED_CALLS), "action": "SCMP_ACT_ERRNO"})
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": list(ARCHITECTURES),
        "syscalls": refused,
    }
