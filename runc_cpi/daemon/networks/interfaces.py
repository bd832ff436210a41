"""What networks ask of the host, and what others ask of networks."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence
from ipaddress import IPv4Address

from zope.interface import Attribute, Interface

from runc_cpi.daemon.networks.model import Address, Nic, Subnet
from runc_cpi.daemon.networks.ports import PublishedPort
from runc_cpi.daemon.networks.rules import Ruleset


class INetworker(Interface):
    """
    Connects containers to the networks of this host.

    It applies planned interfaces, and decides nothing over them.
    """

    def connect(vm_cid: str, pid: int, nics: Sequence[Nic]) -> Awaitable[None]:
        """
        Give the network namespace of a process these interfaces.

        @param pid: a process in that namespace.
        @raise CloudError: if the kernel refuses.
        """

    def guard(vm_cid: str, nics: Sequence[Nic]) -> Awaitable[bool]:
        """
        Let a connected VM send from its own addresses alone.

        @return: whether it could send from others until now.
        @raise CloudError: if the kernel refuses.
        """

    def disconnect(vm_cid: str) -> Awaitable[None]:
        """
        Remove the VM's interfaces; it is no error if there are none.

        @raise CloudError: if the kernel refuses.
        """

    def connected() -> Awaitable[Collection[str]]:
        """
        Name the VMs that have an interface.

        @raise CloudError: if the kernel refuses to tell.
        """


class IAddressPools(Interface):
    """Hands out the addresses of all subnets, and takes them back."""

    subnets: Sequence[Subnet] = Attribute(
        "the subnets of this host; dynamic networks are in the first"
    )

    def acquire(subnet: Subnet, owner: str) -> Awaitable[IPv4Address]:
        """
        Give C{owner} the lowest free address of a subnet.

        @raise AddressUnavailable: if none is left.
        """

    def claim(address: Address, owner: str) -> Awaitable[None]:
        """
        Give C{owner} this very address; it may have it already.

        @raise AddressUnavailable: saying why not.
        """

    def release(owner: str) -> Awaitable[None]:
        """Take back all that C{owner} has, if anything."""

    def owner(address: Address) -> str | None:
        """Return who has an address, or L{None} if nobody does."""


class IFirewall(Interface):
    """
    Has the host forward packets of VMs, by rules that are replaced as a whole.

    The caller waits for one call to end before it makes the next.
    """

    def apply(ruleset: Ruleset) -> Awaitable[None]:
        """
        Make these the rules of this daemon; nothing happens if they are already.

        @raise CloudError: if the kernel refuses; what was asked for before is still so.
        """

    def reflect(vm_cid: str) -> Awaitable[None]:
        """
        Let a VM that is connected reach itself by ports of the host.

        @raise CloudError: if the kernel refuses.
        """

    def restore() -> Awaitable[bool]:
        """
        Put back what somebody else took away since L{apply}.

        @return: whether something was missing.
        @raise CloudError: if the kernel refuses.
        """


class IHostPorts(Interface):
    """Tells which ports the host itself has in use."""

    def user(port: PublishedPort) -> Awaitable[str | None]:
        """
        Name a process of the host that one of these ports leads to now, if there is one.

        @raise CloudError: if the kernel refuses to tell.
        """

    def is_local(address: IPv4Address) -> bool:
        """Say whether an address is one of this host's own."""
