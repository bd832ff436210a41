"""What disks ask of the host."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path

from zope.interface import Attribute, Interface

from runc_cpi.daemon.disks.disk import BootParts
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.container import ContainerState


class IDiskDriver(Interface):
    """
    A kind of disk: how it is made, and how a VM gets to see it.

    A disk is named by its directory, C{path}; its cid is used for what the VM sees of it.
    Sizes are in MiB.  All that returns an awaitable raises C{CloudError} or C{OSError}
    as well, if a program fails or the kernel refuses something.
    """

    name: str = Attribute("what the configuration calls it")
    agent_binds: bool = Attribute("whether agents are to bind-mount its disks")
    keeps_to_sizes: bool = Attribute("whether a disk can hold no more than its size")

    def check(filesystem: str, size: int) -> None:
        """
        Check whether there can be a disk of C{size} MiB.

        @raise InvalidArgument: if not: the file system cannot be that small.
        """

    def hint(disk_cid: str, bundle: Bundle) -> str:
        """
        Return where in its VM an attached disk is found.

        @param bundle: the VM's directory.
        @raise CloudError: if it is not known which ids the VM has.
        """

    def create(path: Path, size: int, filesystem: str) -> Awaitable[None]:
        """
        Make an empty disk of C{size} MiB in the directory C{path}, which is there.

        @raise NoDiskSpace: if a program finds the host's file system full.
        @raise CloudError: if the file system cannot be made.
        """

    def make_ephemeral(bundle: Path, size: int) -> Awaitable[None]:
        """
        Make what a VM's /var/vcap/data will be on, C{size} MiB large.

        @raise InvalidArgument: if the file system cannot be that small.
        @raise NoDiskSpace: if a program finds the host's file system full.
        @raise CloudError: if the file system cannot be made.
        """

    def sweep(directory: Path, kept: Sequence[Path]) -> Awaitable[Sequence[str]]:
        """
        Clear away what a crash left below C{directory}.

        @param kept: the directories of disks and VMs that need what they have.
        @return: the files that were let go of.
        @raise OSError: if the kernel refuses.
        """

    def allocated(path: Path) -> int:
        """
        Return how many bytes the disk takes by now.  This may block.

        @raise OSError: if there is no disk in C{path}.
        """

    def ephemeral_room(bundle: Path) -> int:
        """
        Return by how many bytes a VM's /var/vcap/data may still grow; 0 if there is none,
        or it is not bounded.  This may block; it raises nothing.
        """

    def attach(
        path: Path, disk_cid: str, container: ContainerState, attached: Sequence[Path]
    ) -> Awaitable[bool]:
        """
        Show a disk to a VM.

        @param attached: the directories of all disks of the VM, this one among them.
        @return: whether there was anything to do.
        @raise CloudError: if the VM cannot be shown the disk.
        """

    def detach(
        path: Path, disk_cid: str, container: ContainerState, attached: Sequence[Path]
    ) -> Awaitable[None]:
        """
        Take a disk from a VM; one that the VM does not see is no error.

        @param attached: the directories of the disks that the VM keeps.
        @raise DiskBusy: if a process of the VM uses the disk, which stays attached.
        @raise CloudError: if the kernel refuses.
        """

    def boot(disks: Mapping[str, Path], container: ContainerState) -> Awaitable[BootParts]:
        """
        Prepare for a VM to boot.

        @param disks: the directories of the VM's disks, by their cids.
        @return: what the container's specification gets for them.
        @raise CloudError: if the disks cannot be made ready.
        """

    def booted(
        attached: Sequence[Path],
        container: ContainerState,
        store: str | None,
        filesystem: str,
    ) -> Awaitable[None]:
        """
        Do what can be done once the container is there, before it runs.

        @param attached: the directories of the VM's disks.
        @param store: the cid of the disk to be at /var/vcap/store, if any.
        @param filesystem: what is on that disk.
        @raise CloudError: if that disk cannot be mounted, or the kernel refuses.
        """

    def thaw(path: Path, container: ContainerState) -> Awaitable[bool]:
        """
        Have a running VM write to a disk again, after a snapshot that was cut off.

        @return: whether it could not.
        @raise CloudError: if the kernel refuses.
        """

    def halted(container: ContainerState) -> Awaitable[None]:
        """
        Clear away what only a running VM needs.

        @raise CloudError: if something still uses it.
        """

    def grow(
        path: Path, size: int, filesystem: str, container: ContainerState | None
    ) -> Awaitable[None]:
        """
        Make a disk C{size} MiB large, while a VM has it mounted if need be.

        @raise NotSupported: if this host cannot grow it while it is mounted.
        @raise NoDiskSpace: if a program finds the host's file system full.
        @raise CloudError: if a program fails, or the kernel refuses.
        """

    def snapshot(
        path: Path, target: Path, container: ContainerState | None
    ) -> Awaitable[None]:
        """
        Copy what is on a disk at one moment to the directory C{target}, which is there.

        @raise NoDiskSpace: if a program finds the host's file system full.
        @raise CloudError: if the copy fails for another reason.
        """
