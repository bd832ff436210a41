"""Capabilities: which the daemon has, and may pass on to VMs (capabilities(7))."""

from __future__ import annotations

import re
from pathlib import Path

# In the order of their numbers (linux/capability.h).
_NAMES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
    LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER
    SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE
    SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP
    MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF
    CHECKPOINT_RESTORE
"""
CAPABILITIES = tuple(f"CAP_{name}" for name in _NAMES.split())


def own_capabilities(status: str) -> set[str]:
    """
    Return the capabilities that may be passed on.

    @param status: the content of C{/proc/self/status} (proc(5)).
    """
    masks = [
        int(found, 16) for found in re.findall(r"^Cap(?:Prm|Bnd):\s*(\w+)$", status, re.M)
    ]
    both = masks[0] & masks[1]
    return {name for bit, name in enumerate(CAPABILITIES) if both >> bit & 1}


def grantable(dropped: frozenset[str]) -> list[str]:
    """
    Return what VMs may be granted: all that the daemon has, less C{dropped}.

    A runtime refuses a container that is to have more than its creator.
    """
    own = own_capabilities(Path("/proc/self/status").read_text("ascii"))
    return [name for name in CAPABILITIES if name in own and name not in dropped]
