"""What the VM network asks of the host, and others of it."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence
from ipaddress import IPv4Address

from twisted.internet.defer import Deferred
from zope.interface import Interface


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
