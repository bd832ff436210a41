"""Takes one thread into namespaces of a VM, and back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from runc_cpi.daemon.host import mounting
from runc_cpi.daemon.host.libc import check, libc

# Flags of setns(2) and unshare(2), from linux/sched.h.
CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWNET = 0x40000000
KINDS = {CLONE_NEWNS: "mnt", CLONE_NEWIPC: "ipc", CLONE_NEWNET: "net"}


@contextmanager
def inside(pid: int, kind: int) -> Iterator[None]:
    """
    Take this thread, and no other, into a namespace of C{pid}, and back in the end.

    @param kind: L{CLONE_NEWIPC}, L{CLONE_NEWNET}, or L{CLONE_NEWNS} for a thread that
        L{unshare_fs} was called in.
    @raise OSError: if the process is gone, or the kernel refuses; the thread may be lost
        in the VM then, and must end.
    """
    name = KINDS[kind]
    home = os.open(f"/proc/thread-self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            check(libc.setns(there, kind), "setns")
        finally:
            os.close(there)
        try:
            yield
        finally:
            check(libc.setns(home, kind), "setns")
    finally:
        os.close(home)


def unshare_fs() -> None:
    """
    Give this thread a root and a working directory of its own.

    A thread without them may not change its mount namespace (setns(2)).

    @raise OSError: as unshare(2) says.
    """
    check(libc.unshare(CLONE_FS), "unshare")


def unshare_mounts() -> None:
    """
    Give this thread a mount namespace of its own, which the host's later mounts reach.

    The thread must have a root of its own (L{unshare_fs}).

    @raise OSError: as unshare(2) and mount(2) say.
    """
    check(libc.unshare(CLONE_NEWNS), "unshare")
    mounting.receive_all()


def own_mounts() -> int:
    """
    Return a descriptor of this thread's mount namespace, which keeps it.

    @raise OSError: as open(2) says.
    """
    return os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


def enter_mounts(namespace: int) -> None:
    """
    Take this thread into a mount namespace for good.

    The thread must have a root of its own (L{unshare_fs}).

    @param namespace: a descriptor of it.
    @raise OSError: as setns(2) says.
    """
    check(libc.setns(namespace, CLONE_NEWNS), "setns")
