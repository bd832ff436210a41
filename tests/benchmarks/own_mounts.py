"""Mounts of bare tools: nobody else sees them, and they go with whoever made them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from runc_cpi.daemon.host.libc import check, libc
from runc_cpi.daemon.host.namespaces import CLONE_NEWNS, unshare_fs, unshare_mounts


@contextmanager
def own_mounts(threads: int = 1) -> Iterator[ThreadPoolExecutor]:
    """
    Lend threads that share a mount namespace of their own.

    The programs that they start are in it as well.  Their working directory is C{/}.
    What is mounted already is copied, and so kept in use until the end.

    @param threads: how many there are at most.
    @raise OSError: as unshare(2) and setns(2) say.
    """
    with ThreadPoolExecutor(1) as first:
        there = first.submit(_new_namespace).result()
    try:
        with ThreadPoolExecutor(threads, initializer=_enter, initargs=(there,)) as pool:
            yield pool
    finally:
        os.close(there)


def _new_namespace() -> int:
    """Return a descriptor of a new namespace, which this thread is lost in."""
    unshare_fs()
    unshare_mounts()
    return os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


def _enter(namespace: int) -> None:
    unshare_fs()
    check(libc.setns(namespace, CLONE_NEWNS), "setns")
