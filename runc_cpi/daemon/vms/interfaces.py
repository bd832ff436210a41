"""What VMs ask of the host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from zope.interface import Attribute, Interface

from runc_cpi.daemon.base.outcome import Outcome
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.vms.usage import Usage

T = TypeVar("T")


class IFirstProcess(Interface):
    """
    The first process of a container, alive when it was found.

    Whoever found it closes it.  None of its methods raises an error.
    """

    pid: int = Attribute("its pid, as the host sees it")

    def send(number: int) -> None:
        """Send a signal; nothing happens if the process has ended."""

    def ended_within(seconds: float | None) -> Awaitable[bool]:
        """
        Wait for the end of the process.

        @param seconds: how long to wait at most, or L{None} for no limit.
        @return: whether it ended; false as well if L{close} was called meanwhile.
        """

    def exit_status() -> Awaitable[int | None]:
        """Return the wait status of a process that ended, or L{None} if it is unknown."""

    def close() -> None:
        """Let go of the process, which goes on."""


class IRuntime(Interface):
    """An OCI runtime.  A container has the name of its VM, and a bundle."""

    def anticipate() -> None:
        """Get ready to make a container soon, which need not come."""

    def create(bundle: Bundle, lower: Path) -> Awaitable[int]:
        """
        Make a container and its namespaces; it does not run yet.

        @param bundle: holds the specification and the upper layer of the root file
            system.
        @param lower: the lower layer, which stays as it is.
        @return: the pid of the container's first process.
        @raise CloudError: if the runtime or the kernel fails.
        """

    def start(bundle: Bundle) -> Awaitable[None]:
        """
        Let a created container run.

        @raise CloudError: if the runtime fails.
        """

    def kill(bundle: Bundle) -> Awaitable[None]:
        """
        End all processes of a container at once.

        A container that is not there is no error.

        @raise StillRunning: if a process of it does not end.
        """

    def delete(bundle: Bundle) -> Awaitable[None]:
        """
        End all processes of a container at once, and remove the container.

        A container that is not there is no error.

        @raise StillRunning: if a process of it does not end.
        @raise CloudError: if the runtime fails.
        """

    def execute(bundle: Bundle, argv: Sequence[str], timeout: float) -> Awaitable[Outcome]:
        """
        Run a command inside a running container, to its end.

        @param timeout: seconds after which the command is killed.
        @raise CloudError: if the runtime cannot be run.
        """

    def known() -> Collection[str]:
        """Return the VMs that the runtime has a container of, or the kernel a cgroup."""

    def knows(vm_cid: str) -> bool:
        """
        Say whether the runtime made a container for a VM and did not remove it since.

        A reboot of the host makes the runtime forget all containers.
        """

    def find_process(bundle: Bundle) -> IFirstProcess | None:
        """Return a container's first process, or L{None} if it is not alive."""


class IOOMKiller(Interface):
    """What the kernel does to VMs that want more memory than they may have."""

    def watch(cgroup: str, happened: Callable[[], None]) -> None:
        """
        Watch a VM that runs, unless it is watched already.

        @param cgroup: the path of the VM's cgroup in its hierarchies.
        @param happened: is called when a process of the VM may have been killed.
        @raise OSError: if the kernel refuses.
        """

    def unwatch(cgroup: str) -> None:
        """Watch a VM no more; it need not be watched, nor be there."""

    def count(cgroup: str) -> int | None:
        """
        Return how many processes were killed since the VM's cgroup was made.

        This may take milliseconds.

        @return: or L{None} if there is no such cgroup, or nobody counts in it.
        """


class IMeter(Interface):
    """What the kernel counts of VMs."""

    def measure(states: Sequence[ContainerState]) -> Mapping[str, Usage]:
        """
        Measure VMs that run.

        This may take a millisecond for each.

        @return: what each uses, by its cid; one that ended meanwhile is not in it.
        """


class IRootDisks(Interface):
    """
    Bounds what VMs change on C{/}.

    A root disk is mounted at C{layers} of the VM's bundle, where the upper layer of the
    root file system is.  VMs need not have one.
    """

    def make(bundle: Bundle, size: int) -> Awaitable[None]:
        """
        Make an empty root disk, and mount it.

        A host that can bound nothing logs that, and makes none.

        @param bundle: its directory is there.
        @param size: MiB.
        @raise NoDiskSpace: if the host's file system is full.
        @raise CloudError: if it cannot be made or mounted.
        @raise OSError: if a file cannot be made.
        """

    def sync(bundle: Bundle) -> Awaitable[None]:
        """
        Have on the host's disk what is on a root disk, unless the VM has none.

        @raise OSError: if the disk fails, or is full.
        """

    def mount(bundle: Bundle) -> Awaitable[None]:
        """
        Mount a root disk, unless it is mounted or the VM has none.

        A reboot of the host unmounts it.

        @raise CloudError: if it cannot be mounted.
        """

    def mount_afresh(bundle: Bundle) -> Awaitable[None]:
        """
        Mount the root disk of a VM that does not run anew, unless the VM has none.

        A file system that failed, because the host's was full, can be written again then.

        @raise CloudError: if it cannot be mounted.
        """


class IGuests(Interface):
    """Reaches into VMs that run, and trusts nothing that is in them."""

    def run(
        vm_cid: str, work: Callable[[], T], *, seconds: float | None = None
    ) -> Awaitable[T]:
        """
        Do C{work} on files of a VM, running or not, in a thread.

        @param vm_cid: the VM, or whatever else may make it hang.
        @param seconds: how long it may take, if not as long as usual.
        @return: what C{work} returns.
        @raise CloudError: if it takes too long, if earlier work for the VM hangs, or if
            C{work} raises C{OSError}.
        """

    def prepare(
        vm_cid: str, pid: int, stale: str, pid_files: str, writable: Sequence[str]
    ) -> Awaitable[None]:
        """
        Make the file system of a VM that is about to boot like that of a machine.

        Mounts are shared among the VM's own namespaces from then on.

        @param pid: the VM's first process.
        @param stale: a directory to remove, for a machine has it in memory.
        @param pid_files: the directory below which pid files are removed.
        @param writable: kernel tunables of the VM's own that are to be writable.
        @raise CloudError: if that fails or takes too long.
        """

    def write(vm_cid: str, pid: int, name: str, content: str) -> Awaitable[None]:
        """
        Write a file of a running VM, in one step for whoever reads it.

        @param pid: the VM's first process.
        @param name: the path of the file from the VM's root.
        @raise CloudError: if that fails or takes too long.
        """
