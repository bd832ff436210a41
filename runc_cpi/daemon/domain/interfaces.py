"""What the domain asks of the host; the drivers provide it."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from runc_cpi.daemon.drivers.process import Outcome


class IInit(Interface):
    """A live first process of a container."""

    pid: int = Attribute("its pid, as the host sees it")

    def send(number: int) -> None:
        """Send a signal."""

    def ended_within(seconds: float) -> Awaitable[bool]:
        """Wait for its end, at most so long, and say whether it came."""

    def close() -> None:
        """Let go of it."""


class IRuntime(Interface):
    """An OCI runtime.  A container's id is its C{vm_cid}."""

    def create(container_id: str, bundle: Path) -> Awaitable[int]:
        """Make a container, not running yet, and return its pid."""

    def start(container_id: str, bundle: Path) -> Awaitable[None]:
        """Let a created container run."""

    def delete(container_id: str, bundle: Path) -> Awaitable[None]:
        """Remove a container; an unknown one is no error."""

    def execute(
        container_id: str, bundle: Path, argv: Sequence[str], timeout: float
    ) -> Awaitable[Outcome]:
        """Run a command inside a container, to its end."""

    def find_init(container_id: str, bundle: Path) -> IInit | None:
        """Take hold of a container's first process, if it is alive."""


class INetworker(Interface):
    """Connects containers to the VM network."""

    def connect(vm_cid: str, pid: int, addresses: Sequence[IPv4Address]) -> Awaitable[None]:
        """Give the network namespace of C{pid} an interface with these addresses."""

    def disconnect(vm_cid: str) -> Awaitable[None]:
        """Remove the VM's interface; one that is gone is no error."""


class IAddressPool(Interface):
    """Hands out the addresses of the VM network, and takes them back."""

    def acquire(owner: str) -> Deferred[IPv4Address]:
        """Give C{owner} the lowest free address."""

    def claim(address: IPv4Address, owner: str) -> Deferred[IPv4Address]:
        """Give C{owner} this very address."""

    def release(owner: str) -> Deferred[None]:
        """Take back all that C{owner} has."""


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
        """Unpack the image that the descriptor C{image} is open on."""

    def sync(path: Path) -> Awaitable[None]:
        """Wait until the file system of C{path} is on its disk."""

    def remove(path: Path) -> Awaitable[None]:
        """Remove a tree; one that is gone is no error."""
