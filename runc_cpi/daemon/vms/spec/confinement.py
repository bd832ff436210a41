"""What a VM must not do to its host: capabilities, system calls, files of the kernel."""

from __future__ import annotations

from typing import Any

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

# The system calls that those capabilities allow.  A VM that has all capabilities, to pass
# them on to what it runs, is refused these calls by a filter instead.  32-bit programs
# have names of their own for some of them.
GUARDED_CALLS = (
    "adjtimex", "clock_adjtime", "clock_adjtime64", "clock_settime", "clock_settime64",
    "settimeofday", "stime",
    "init_module", "finit_module", "delete_module",
    "kexec_load", "kexec_file_load", "reboot",
    "ioperm", "iopl", "syslog",
)  # fmt: skip
# The filter kills programs of other architectures; of these, a machine runs its own.
ARCHITECTURES = (
    "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32",
    "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM",
)  # fmt: skip

# What stops a whole file system, to whoever may administer one.  The host's own is within
# reach of a VM without a root disk: its files are on it.  The kernel looks at 32 bits of an
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


def seccomp_profile(*, guarded: bool) -> dict[str, Any]:
    """
    Return the filter of system calls, as the OCI runtime specification has it.

    @param guarded: whether to refuse L{GUARDED_CALLS} as well.
    """
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
