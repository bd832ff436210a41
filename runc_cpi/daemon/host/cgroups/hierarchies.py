"""Cgroup directories, in whichever hierarchies this host has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from runc_cpi.daemon.storage.descent import Entered, Left, walk

ROOT = Path("/sys/fs/cgroup")
# Files of v1 and of v2.  Memory comes before memory with swap, which must not be less.
LIMITS = (
    *("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    *("cpu.cfs_period_us", "cpu.cfs_quota_us"),
    *("pids.max", "memory.max", "memory.swap.max", "cpu.max"),
)
# What moves processes and makes controllers available, of v1 and of v2.
DELEGATED = ("tasks", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control")


def are_unified(root: Path = ROOT) -> bool:
    """Say whether all controllers are on cgroup v2 (cgroups(7))."""
    return (root / "cgroup.controllers").exists()


def directories(path: str, root: Path = ROOT) -> list[Path]:
    """Return where a cgroup is: one directory on v2, several beside each other on v1."""
    name = path.lstrip("/")
    found = (os.path.join(root, top, name) for top in ("", *os.listdir(root)))
    return [Path(directory) for directory in found if os.path.isdir(directory)]


def own(root: Path = ROOT, table: Path = Path("/proc/self/cgroup")) -> Iterator[Path]:
    """
    Return where this process is, in each hierarchy whose directory has its usual name.

    @param table: names the hierarchies, and the cgroups of the process (cgroups(7)).
    """
    for line in table.read_text("utf-8", "surrogateescape").splitlines():
        _, controllers, path = line.split(":", 2)
        if ".." in path.split("/"):
            continue  # it is outside of what its cgroup namespace shows
        for top in (controllers.removeprefix("name="),) if controllers else ("", "unified"):
            directory = root / top / path.lstrip("/")
            if (directory / "cgroup.procs").exists():
                yield directory


def children(path: str, root: Path = ROOT) -> set[str]:
    """Name the cgroups right below one, in any hierarchy."""
    return {
        entry.name
        for top in directories(path, root)
        for entry in os.scandir(top)
        if entry.is_dir()
    }


def processes(path: str, root: Path = ROOT) -> set[int]:
    """List the processes in a cgroup and those below it."""
    found: set[int] = set()
    for top in directories(path, root):
        for step in walk(top):
            if isinstance(step, Entered):
                found.update(map(int, read(step.fd, "cgroup.procs").split()))
    return found


def is_in(pid: int, path: str) -> bool:
    """Say whether a process is in a cgroup, or in one below it."""
    try:
        with open(f"/proc/{pid}/cgroup", "rb") as file:
            lines = file.read().split(b"\n")
    except (FileNotFoundError, ProcessLookupError):
        return False
    found = [line.split(b":", 2)[2] for line in lines if line]
    # systemd as init moves itself into a cgroup below the container's.
    top = path.encode()
    return any(name == top or name.startswith(top + b"/") for name in found)


def share_limits(path: str, below: str, root: Path = ROOT) -> None:
    """
    Give a cgroup the limits of the one right below it, which the VM can change there.

    @param below: the name of the cgroup below.
    @raise OSError: if the kernel refuses.
    """
    for top in directories(f"{path}/{below}", root):
        there = set(os.listdir(top))
        for name in LIMITS:
            if name in there:
                (top.parent / name).write_bytes((top / name).read_bytes())


def give(path: str, owner: int, root: Path = ROOT) -> None:
    """
    Let a user make cgroups in one, and move processes between them (cgroups(7)).

    The limits of the cgroup itself stay out of its reach.

    @param owner: the id of the user and of its group.
    @raise OSError: if the kernel refuses.
    """
    for top in directories(path, root):
        os.chown(top, owner, owner)
        for name in DELEGATED:
            with suppress(FileNotFoundError):
                os.chown(top / name, owner, owner)


def remove(path: str, root: Path = ROOT) -> bool:
    """
    Remove a cgroup and those below it; one that holds a process stays.

    An OCI runtime leaves what is above a container's own cgroup, and its own if it fails.

    @return: whether nothing stays.
    """
    for top in directories(path, root):
        for step in walk(top):
            if isinstance(step, Left):
                with suppress(OSError):
                    os.rmdir(step.name, dir_fd=step.fd)
        with suppress(OSError):
            os.rmdir(top)
    return not directories(path, root)


def remove_empty(path: str, root: Path = ROOT) -> None:
    """Remove a cgroup that has none below it and holds no process; others stay."""
    for top in directories(path, root):
        with suppress(OSError):
            os.rmdir(top)


def read(directory: int, name: str) -> bytes:
    """Return what a file of a cgroup holds, or nothing if it cannot be read."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return b""
    with suppress(OSError), open(fd, "rb", buffering=0) as file:
        return file.read()
    return b""


def write(directory: int, name: str, value: bytes) -> bool:
    """Write to a file of a cgroup, and say whether that was possible."""
    try:
        fd = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=directory)
        with open(fd, "wb", buffering=0) as file:
            file.write(value)
    except OSError:
        return False
    return True
