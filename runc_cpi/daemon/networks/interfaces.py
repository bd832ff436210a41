"""What networks ask of the host, and what others ask of networks."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence
from ipaddress import IPv4Address

from zope.interface import Attribute, Interface

from runc_cpi.daemon.networks.model import Address, Nic, Subnet


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


class INameService(Interface):
    """Answers the DNS queries of VMs at the gateways of their subnets."""

    def serve(subnets: Collection[Subnet]) -> Awaitable[None]:
        """
        Answer at the gateways of these subnets, and of no others.

        Their bridges are there.  Whoever makes or removes one calls this again.  If it is
        not possible at a gateway, that is logged, and no error.
        """

    def retry() -> Awaitable[None]:
        """Have all as it was asked for last, also where it was not possible before."""

    def name_servers(subnet: Subnet) -> Sequence[str]:
        """
        Return the name servers of a network in this subnet that names none itself: those
        of the subnet; or the gateway if it answers; or those of the host.
        """

    def stop() -> Awaitable[None]:
        """Answer no more, nowhere."""
