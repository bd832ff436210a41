"""The file systems that are mounted in every VM, as the OCI specification has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def mount(destination: str, kind: str, *options: str) -> dict[str, Any]:
    """
    Return a mount of a file system that is on no device.

    @param destination: the mount point in the VM.
    @param kind: the type of the file system, such as C{tmpfs}.
    """
    return {
        "destination": destination,
        "type": kind,
        "source": kind,
        "options": list(options),
    }


def bind_mount(destination: str, source: str) -> dict[str, Any]:
    """
    Return a mount of a directory of the host.

    @param destination: the mount point in the VM.  What is mounted below it in the VM
        does not show on the host.
    @param source: the directory of the host.
    """
    return {
        "destination": destination,
        "type": "bind",
        "source": source,
        "options": ["rbind", "rslave", "rw"],
    }


def cover(destination: str, source: str) -> dict[str, Any]:
    """
    Return a mount of a file or directory of the host's in place of a VM's own.

    @param destination: where it is in the VM, which can only read it.
    @param source: where it is on the host.
    """
    return {
        **bind_mount(destination, source),
        "options": ["bind", "slave", "ro", "nosuid", "nodev", "noexec"],
    }


MOUNTS = (
    mount("/proc", "proc", "nosuid", "noexec", "nodev"),
    mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
    mount(
        "/dev/pts",
        "devpts",
        "nosuid",
        "noexec",
        "newinstance",
        "ptmxmode=0666",
        "mode=0620",
    ),
    mount("/dev/shm", "tmpfs", "nosuid", "nodev", "mode=1777"),
    mount("/dev/mqueue", "mqueue", "nosuid", "noexec", "nodev"),
    mount("/sys/fs/cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime"),
)
# How much of the memory a file system may take, in percent, as on a machine with systemd.
MEMORY_SHARES = {"/dev/shm": 50, "/run": 20}


def sys_mount(*, privileged: bool) -> dict[str, Any]:
    """
    Return the mount of /sys.

    systemd takes a read-only /sys as the mark of a container, and leaves devices alone.
    """
    access = "rw" if privileged else "ro"
    return mount("/sys", "sysfs", "nosuid", "noexec", "nodev", access)


def sized(mount: Mapping[str, Any], memory: int | None) -> Mapping[str, Any]:
    """
    Return a mount with a bound on the memory that its files take, if it takes memory.

    @param memory: the memory of the VM in bytes, or L{None} to go by that of the host.
    """
    share = MEMORY_SHARES.get(mount["destination"])
    if share is None:
        return mount
    size = f"{share}%" if memory is None else str(memory * share // 100)
    return {**mount, "options": [*mount["options"], f"size={size}"]}
