"""What the domain asks of the host; the drivers provide it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from runc_cpi.daemon.domain.disk import BootParts, Container
    from runc_cpi.daemon.drivers.process import Outcome

T = TypeVar("T")


class IInit(Interface):
    """A live first process of a container."""

    pid: int = Attribute("its pid, as the host sees it")

    def send(number: int) -> None:
        """Send a signal."""

    def ended_within(seconds: float | None) -> Awaitable[bool]:
        """
        Wait for its end, at most so long if that is not L{None}, and say whether it
        came; it did not if L{close} was called meanwhile.
        """

    def exit_status() -> Awaitable[int | None]:
        """Return the wait status of one that ended, or L{None} if it cannot be told."""

    def close() -> None:
        """Let go of it."""


class IRuntime(Interface):
    """An OCI runtime.  A container's id is its C{vm_cid}."""

    def create(container_id: str, bundle: Path, lower: Path) -> Awaitable[int]:
        """
        Make a container, not running yet, and return its pid.

        Its root file system is C{lower}, with what is in C{upper} of the bundle over it.
        """

    def start(container_id: str, bundle: Path) -> Awaitable[None]:
        """Let a created container run."""

    def delete(container_id: str, bundle: Path) -> Awaitable[None]:
        """
        End all processes of a container at once, and remove it; an unknown one is no
        error.  Raise StillRunning if one does not end.
        """

    def execute(
        container_id: str, bundle: Path, argv: Sequence[str], timeout: float
    ) -> Awaitable[Outcome]:
        """Run a command inside a container, to its end."""

    def known() -> Sequence[str]:
        """Name the containers that it knows of."""

    def knows(container_id: str) -> bool:
        """Say whether it ever made this container, and did not forget it since."""

    def find_init(container_id: str, bundle: Path) -> IInit | None:
        """Take hold of a container's first process, if it is alive."""


class INetworker(Interface):
    """Connects containers to the VM network."""

    def connect(vm_cid: str, pid: int, addresses: Sequence[IPv4Address]) -> Awaitable[None]:
        """Give the network namespace of C{pid} an interface with these addresses."""

    def guard(vm_cid: str, addresses: Sequence[IPv4Address]) -> Awaitable[bool]:
        """
        Have a connected VM send from its own addresses alone; say whether it did not.
        """

    def disconnect(vm_cid: str) -> Awaitable[None]:
        """Remove the VM's interface; one that is gone is no error."""

    def connected() -> Awaitable[Collection[str]]:
        """Name the VMs that have an interface."""


class IAddressPool(Interface):
    """Hands out the addresses of the VM network, and takes them back."""

    def acquire(owner: str) -> Deferred[IPv4Address]:
        """Give C{owner} the lowest free address."""

    def claim(address: IPv4Address, owner: str) -> Deferred[IPv4Address]:
        """Give C{owner} this very address."""

    def release(owner: str) -> Deferred[None]:
        """Take back all that C{owner} has."""

    def owner(address: IPv4Address) -> str | None:
        """Say who has an address, or L{None} if nobody does."""


class ISockets(Interface):
    """Knows the other ends of TCP connections."""

    def owner(
        address: IPv4Address | IPv6Address,
        port: int,
        own_address: IPv4Address | IPv6Address,
        own_port: int,
    ) -> int | None:
        """
        Return the uid of the process of this host at the other end, L{None} if there is
        none.

        That is whoever has this address and port now.  It is the peer of a connection
        only if L{is_connected} says afterwards that there still is one.
        """

    def is_connected(connection: Any) -> bool:
        """Say whether a connection is one still, and was not reset."""

    def is_local(address: IPv4Address | IPv6Address) -> bool:
        """Say whether an address is one of this host's own."""


class IGuests(Interface):
    """Reaches into running VMs, trusting nothing that is in them."""

    def run(vm_cid: str, work: Callable[[], T]) -> Awaitable[T]:
        """
        Do C{work} on files of a VM, running or not, in a thread; raise CloudError if it
        takes too long.
        """

    def prepare(
        vm_cid: str, pid: int, stale: str, pid_files: str, writable: Sequence[str]
    ) -> Awaitable[None]:
        """
        Make the file system of a VM that is about to boot like that of a machine which
        does: C{stale} is removed, so are pid files below C{pid_files}, and mounts are
        shared among the VM's own namespaces.  Tunables of its own, C{writable}, are made
        so.
        """

    def write(vm_cid: str, pid: int, name: str, content: str) -> Awaitable[None]:
        """Write a file of that VM whole."""


class IUpload(Interface):
    """An image on its way into a directory."""

    def write(data: bytes) -> Awaitable[None]:
        """Take the next bytes; ready once they are accepted downstream."""

    def finish() -> Awaitable[None]:
        """There are no more bytes: wait until all is unpacked."""

    def abort() -> Awaitable[None]:
        """Give up, and wait until nothing runs for it any more."""


class IArchiver(Interface):
    """Unpacks images, and removes trees."""

    def open(target: Path) -> IUpload:
        """Unpack an image, whose bytes will be written, into C{target}."""

    def unpack(image: int, target: Path) -> Awaitable[None]:
        """Unpack the image that is in the parcel C{image} (C{daemon/passed.py})."""

    def sync(path: Path) -> Awaitable[None]:
        """Wait until the file system of C{path} is on its disk."""

    def remove(path: Path) -> Awaitable[None]:
        """Remove a tree; one that is gone is no error."""


class IImages(Interface):
    """Brings OCI images to this host."""

    def check(reference: object, digest: object) -> None:
        """Raise InvalidArgument if these cannot be a reference and a digest."""

    def fetch(reference: str, digest: str | None, scratch: Path) -> Awaitable[str]:
        """
        Copy an image to C{scratch}, and return the digest of the copy's manifest.

        Raise StemcellRejected if the reference leads to something without C{digest}.
        """

    def unpack(scratch: Path, target: Path) -> Awaitable[None]:
        """Unpack to C{target} what was fetched to C{scratch}."""


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
        path: Path, disk_cid: str, container: Container, attached: Sequence[Path]
    ) -> Awaitable[bool]:
        """
        Show a disk to a VM; C{attached} are all that it has, this one among them.  Say
        whether there was anything to do.
        """

    def detach(
        path: Path, disk_cid: str, container: Container, attached: Sequence[Path]
    ) -> Awaitable[None]:
        """Take a disk from a VM; C{attached} are those that it keeps."""

    def boot(disks: Mapping[str, Path], container: Container) -> Awaitable[BootParts]:
        """Prepare for a VM to boot with disks."""

    def booted(
        attached: Sequence[Path],
        container: Container,
        store: str | None,
        filesystem: str,
    ) -> Awaitable[None]:
        """
        See to what can be done once the container is there, before it runs.

        C{store}, with C{filesystem} on it, is the disk to be at /var/vcap/store.
        """

    def thaw(path: Path, container: Container) -> Awaitable[bool]:
        """
        Have a running VM write to a disk again, after a snapshot that was cut off.  Say
        whether it could not.
        """

    def halted(container: Container) -> Awaitable[None]:
        """Clear away what only a running VM needs."""

    def grow(
        path: Path, size: int, filesystem: str, container: Container | None
    ) -> Awaitable[None]:
        """Make a disk larger, while a VM has it mounted if need be."""

    def snapshot(path: Path, target: Path, container: Container | None) -> Awaitable[None]:
        """Copy what is on a disk to the directory C{target}, consistently."""
