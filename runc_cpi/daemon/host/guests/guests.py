"""Changes files and mounts of a running VM from outside, and trusts nothing in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path

from zope.interface import implementer

from runc_cpi.daemon.base.calls import span
from runc_cpi.daemon.base.id_range import IdRange
from runc_cpi.daemon.host import detached_mounts, mounting
from runc_cpi.daemon.host.disks.freezing import thaw_disk_at
from runc_cpi.daemon.host.guests.visits import Visits
from runc_cpi.daemon.host.namespaces import CLONE_NEWIPC, CLONE_NEWNS, inside
from runc_cpi.daemon.host.user_namespaces import root_of_namespace, user_namespace
from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.daemon.vms.interfaces import IGuests

KERNEL_LOG = "/proc/kmsg"
# Where what is put over it is made: a directory that each VM has, and nobody uses yet.
DEV = "/dev"
SOCKETS = 4096  # bytes; the least that there is, for a socket takes none


@implementer(IGuests)
class Guests(Visits):
    """Reaches into running VMs, each time in a new thread."""

    async def prepare(
        self, vm_cid: str, pid: int, stale: str, pid_files: str, writable: Sequence[str]
    ) -> None:
        """
        Make the file system of a VM that is about to boot like that of a machine.

        @raise CloudError: if that fails or takes too long.
        """
        with span("mounts"):
            await self.run(vm_cid, partial(prepare, pid, stale, pid_files, writable))

    async def write(self, vm_cid: str, pid: int, name: str, content: str) -> None:
        """
        Write a file of a running VM, in one step for whoever reads it.

        @raise CloudError: if that fails or takes too long.
        """
        await self.run(vm_cid, partial(write, pid, name, content))


def make_node(pid: int, name: str, device: int) -> bool:
    """
    Make a block device node in the VM's /dev, unless it is there.

    @param name: the name of the node in /dev.
    @param device: the number of the device, as C{st_rdev} has it.
    @return: whether it had to be made.
    @raise OSError: if the kernel refuses.
    """
    with writable_root_of(pid, "dev") as tree, tree.parent(f"dev/{name}") as (dev, last):
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
    """
    Remove a node from the VM's /dev.

    @raise OSError: if the kernel refuses.
    """
    with writable_root_of(pid, "dev") as tree:
        tree.remove(f"dev/{name}")


def prepare(pid: int, stale: str, pid_files: str, writable: Sequence[str]) -> None:
    """
    Make a VM's file system like that of a machine which boots.

    @param pid: the VM's first process.
    @param stale: a directory to remove, for a machine has it in memory.
    @param pid_files: the directory below which pid files are removed.
    @param writable: kernel tunables of the VM's own that are to be writable.
    @raise OSError: if the kernel refuses.
    """
    with writable_root_of(pid, os.path.dirname(stale), pid_files) as tree:
        tree.remove(stale)
        tree.remove_files(pid_files, ".pid")
    _close_kernel_log(pid)
    with inside(pid, CLONE_NEWNS):
        # systemd does this on a machine but not in a container.  Without it the
        # namespaces of its services would hold on to a disk that is unmounted.
        mounting.share_root()
    # Which tunables are found by a name depends on the namespace of who looks it up.
    with inside(pid, CLONE_NEWIPC), inside(pid, CLONE_NEWNS):
        for path in writable:
            with suppress(FileNotFoundError):
                mounting.make_writable(path)


def _close_kernel_log(pid: int) -> None:
    """
    Have nobody in the VM open the host's kernel log, if the runtime has masked it.

    The mask is /dev/null, which can be read and is at its end.  A rsyslogd that reads the
    kernel's log, as that of the stemcells does, then reads it without a pause (imklog).
    What it cannot open it leaves alone, and a socket cannot be opened (open(2), ENXIO).
    """
    with inside(pid, CLONE_NEWNS):
        try:
            if not stat.S_ISCHR(os.stat(KERNEL_LOG).st_mode):
                return
        except FileNotFoundError:  # a kernel without any log
            return
        # A file system of its own: no other is to depend on what stays mounted of it.
        mounting.mount_memory(DEV, SOCKETS)
        try:
            closed = f"{DEV}/kmsg"
            os.mknod(closed, stat.S_IFSOCK | 0o400)
            mounting.bind(closed, KERNEL_LOG)
        finally:
            mounting.detach(DEV)


def write(pid: int, name: str, content: str) -> None:
    """
    Write a file of the VM, in one step for whoever reads it.

    @raise OSError: if the kernel refuses.
    """
    with writable_root_of(pid, os.path.dirname(name)) as tree:
        tree.write(name, content, owner=root_of_namespace(pid))


def mount(pid: int, source: str, target: str, filesystem: str) -> None:
    """
    Mount a block device in the VM.

    @param source: the path of the device's node in the VM.
    @param target: the mount point in the VM; it is made if it is not there.
    @raise OSError: if the kernel refuses.
    """
    with writable_root_of(pid, os.path.dirname(target)) as tree:
        tree.make_directories(target, root_of_namespace(pid))
    with inside(pid, CLONE_NEWNS):
        mounting.mount(source, target, filesystem)


def bind(pid: int, source: str, target: str) -> None:
    """
    Bind-mount a directory of the VM in a second place.

    @param source: the directory, as the VM sees it.
    @param target: the mount point in the VM; it is made if it is not there.
    @raise OSError: if the kernel refuses.
    """
    with writable_root_of(pid, os.path.dirname(target)) as tree:
        tree.make_directories(target, root_of_namespace(pid))
    with inside(pid, CLONE_NEWNS):
        mounting.bind(source, target)


def place(pid: int, made: AbstractContextManager[int], ids: IdRange, target: str) -> None:
    """
    Mount in the VM what is mounted nowhere yet, with the VM's ids.

    Unlike a mount that the VM receives from the host, this one is the VM's to unmount.

    @param made: makes the mount, as L{detached_mounts} does.
    @param ids: those of the VM: what is user 0's on the file system is its root's.
    @param target: the mount point in the VM; it is made if it is not there.
    @raise OSError: if the kernel refuses.
    """
    with made as mount:
        with user_namespace(ids) as users:
            detached_mounts.map_ids(mount, users)
        with writable_root_of(pid, os.path.dirname(target)) as tree:
            tree.make_directories(target, root_of_namespace(pid))
        with inside(pid, CLONE_NEWNS):
            point = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                detached_mounts.move(mount, point)
            finally:
                os.close(point)


def remove_point(pid: int, name: str) -> None:
    """
    Remove a mount point of the VM, but not what the VM put there in its place.

    @raise OSError: if the kernel refuses.
    """
    with writable_root_of(pid, os.path.dirname(name)) as tree:
        tree.remove_empty(name)


@contextmanager
def writable_root_of(pid: int, *directories: str) -> Iterator[Tree]:
    """
    Open the file system that C{pid} sees, to write to some directories in it.

    A disk of the VM that one of them is on is thawed, for a write would wait for that.

    @raise OSError: if the process ended.
    """
    with root_of(pid) as tree:
        for directory in directories:
            thaw_disk_at(tree, directory)
        yield tree


def root_of(pid: int) -> AbstractContextManager[Tree]:
    """
    Open the file system that C{pid} sees, so that no link in it leads out of it.

    @raise OSError: if the process ended.
    """
    return Tree.at(Path(f"/proc/{pid}/root"))
