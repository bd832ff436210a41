"""What is done inside a running VM from outside, trusting nothing that is in it."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from runc_cpi.daemon.domain.interfaces import IGuests
from runc_cpi.daemon.drivers import namespaces
from runc_cpi.daemon.drivers.namespaces import (
    CLONE_NEWIPC,
    CLONE_NEWNS,
    inside,
    leave_alone,
)
from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.errors import CloudError

THREADS = 4

P = ParamSpec("P")
T = TypeVar("T")


@implementer(IGuests)
class GuestThread:
    """
    Runs what enters VMs, in threads of its own: to unmount a disk can take long.

    Each has a root and working directory apart from the other threads', so that it can
    change its mount namespace alone.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._threads = ThreadPool(1, THREADS, "guests")
        self._prepared = threading.local()

    def start(self) -> None:
        """Start the threads."""
        self._threads.start()

    def stop(self) -> None:
        """End the threads, once they have done what they were given."""
        self._threads.stop()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Do C{work}, which may block, in the thread.

        @raise CloudError: if the kernel refuses something.
        """
        try:
            result: T = await deferToThreadPool(
                self._reactor, self._threads, self._alone(work), *args, **kwargs
            )
        except OSError as error:
            raise CloudError(f"{work.__name__}: {error}") from error
        return result

    def _alone(self, work: Callable[P, T]) -> Callable[P, T]:
        def working(*args: P.args, **kwargs: P.kwargs) -> T:
            if not hasattr(self._prepared, "done"):
                leave_alone()
                self._prepared.done = True
            return work(*args, **kwargs)

        return working

    async def prepare(
        self, pid: int, stale: str, pid_files: str, writable: Sequence[str]
    ) -> None:
        """
        Make the file system of a VM ready to boot.

        @raise CloudError: if that is not possible.
        """
        await self.run(prepare, pid, stale, pid_files, writable)

    async def write(self, pid: int, name: str, content: str) -> None:
        """
        Write a file of a VM whole.

        @raise CloudError: if that is not possible.
        """
        await self.run(write, pid, name, content)


def make_node(pid: int, name: str, device: int) -> bool:
    """
    Make a block device node C{name} in the VM's /dev; one that is right stays.

    @return: whether it had to be made.
    """
    with root_of(pid) as tree, tree.parent(f"dev/{name}") as (dev, last):
        try:
            found = os.stat(last, dir_fd=dev, follow_symlinks=False)
        except FileNotFoundError:
            pass
        else:
            if stat.S_ISBLK(found.st_mode) and found.st_rdev == device:
                return False
            os.unlink(last, dir_fd=dev)
        os.mknod(last, stat.S_IFBLK | 0o660, device, dir_fd=dev)
    return True


def remove_node(pid: int, name: str) -> None:
    """Remove a node from the VM's /dev."""
    with root_of(pid) as tree:
        tree.remove(f"dev/{name}")


def prepare(pid: int, stale: str, pid_files: str, writable: Sequence[str]) -> None:
    """
    Make a VM's file system like that of a machine which boots.

    @param stale: a tree to remove, which a machine would have in memory.
    @param pid_files: the directory below which pid files of the dead are removed.
    @param writable: tunables of the VM's own that are among those of the host.
    """
    with root_of(pid) as tree:
        tree.remove(stale)
        tree.remove_files(pid_files, ".pid")
    with inside(pid, CLONE_NEWNS):
        # systemd does this on a machine but not in a container.  Without it the
        # namespaces of its services would hold on to a disk that is unmounted.
        namespaces.share_root()
    # Which tunables are found by a name depends on the namespace of who looks it up.
    with inside(pid, CLONE_NEWIPC), inside(pid, CLONE_NEWNS):
        for path in writable:
            with suppress(FileNotFoundError):
                namespaces.make_writable(path)


def write(pid: int, name: str, content: str) -> None:
    """Write a file of the VM whole."""
    with root_of(pid) as tree:
        tree.write(name, content)


def mount(pid: int, source: str, target: str, filesystem: str) -> None:
    """Mount a block device in the VM, both by names that it knows them by."""
    with root_of(pid) as tree:
        tree.make_directories(target)
    with inside(pid, CLONE_NEWNS):
        namespaces.mount(source, target, filesystem)


def bind(pid: int, source: str, target: str) -> None:
    """Bind-mount a directory in the VM, both by names that it knows them by."""
    with root_of(pid) as tree:
        tree.make_directories(target)
    with inside(pid, CLONE_NEWNS):
        namespaces.bind(source, target)


def root_of(pid: int) -> AbstractContextManager[Tree]:
    """Open the file system that C{pid} sees, so that no link in it leads out of it."""
    return Tree.at(Path(f"/proc/{pid}/root"))
