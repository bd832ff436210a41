"""What VMs ask of the host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from zope.interface import Attribute, Interface

from runc_cpi.daemon.base.outcome import Outcome

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
