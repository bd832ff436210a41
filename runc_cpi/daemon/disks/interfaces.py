"""What disks ask of the host."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path

from zope.interface import Attribute, Interface

from runc_cpi.daemon.disks.disk import BootParts
from runc_cpi.daemon.storage.container import ContainerState


class IDiskDriver(Interface):
    """A kind of disk: how it is made, and how a VM gets to see it."""

    name: str = Attribute("what the configuration calls it")
    agent_binds: bool = Attribute("whether agents are to bind-mount its disks")
    keeps_to_sizes: bool = Attribute("whether a disk can hold no more than its size")

    def check(filesystem: str, size: int) -> None:
        """Raise InvalidArgument if there can be no such disk."""

    def hint(disk_cid: str) -> str:
        """Say where in its VM an attached disk is found."""

    def create(path: Path, size: int, filesystem: str) -> Awaitable[None]:
        """Make an empty disk of C{size} MiB in the directory C{path}."""

    def make_ephemeral(bundle: Path, size: int) -> Awaitable[None]:
        """Make what a VM's /var/vcap/data will be on, C{size} MiB large."""

    def sweep(directory: Path, kept: Sequence[Path]) -> Awaitable[Sequence[str]]:
        """
        Clear away what a crash left below C{directory}; C{kept} are the directories of
        disks and VMs that need what they have.  Say what was let go of.
        """

    def allocated(path: Path) -> int:
        """Say how many bytes the disk takes by now."""

    def ephemeral_room(bundle: Path) -> int:
        """Say by how many bytes a VM's /var/vcap/data may still grow, if it is bounded."""

    def attach(
        path: Path, disk_cid: str, container: ContainerState, attached: Sequence[Path]
    ) -> Awaitable[bool]:
        """
        Show a disk to a VM; C{attached} are all that it has, this one among them.  Say
        whether there was anything to do.
        """

    def detach(
        path: Path, disk_cid: str, container: ContainerState, attached: Sequence[Path]
    ) -> Awaitable[None]:
        """Take a disk from a VM; C{attached} are those that it keeps."""

    def boot(disks: Mapping[str, Path], container: ContainerState) -> Awaitable[BootParts]:
        """Prepare for a VM to boot with disks."""

    def booted(
        attached: Sequence[Path],
        container: ContainerState,
        store: str | None,
        filesystem: str,
    ) -> Awaitable[None]:
        """
        See to what can be done once the container is there, before it runs.

        C{store}, with C{filesystem} on it, is the disk to be at /var/vcap/store.
        """

    def thaw(path: Path, container: ContainerState) -> Awaitable[bool]:
        """
        Have a running VM write to a disk again, after a snapshot that was cut off.  Say
        whether it could not.
        """

    def halted(container: ContainerState) -> Awaitable[None]:
        """Clear away what only a running VM needs."""

    def grow(
        path: Path, size: int, filesystem: str, container: ContainerState | None
    ) -> Awaitable[None]:
        """Make a disk larger, while a VM has it mounted if need be."""

    def snapshot(
        path: Path, target: Path, container: ContainerState | None
    ) -> Awaitable[None]:
        """Copy what is on a disk to the directory C{target}, consistently."""
