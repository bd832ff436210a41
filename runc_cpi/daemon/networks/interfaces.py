"""What networks ask of the host, and what others ask of networks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from ipaddress import IPv4Network

from zope.interface import Attribute, Interface

from runc_cpi.daemon.networks.blocks import RoutedBlock
from runc_cpi.daemon.networks.claims import Claims
from runc_cpi.daemon.networks.model import (
    Address,
    Holding,
    InterfaceAddress,
    Nic,
    Subnet,
)
from runc_cpi.daemon.networks.peers import Peering, Reached
from runc_cpi.daemon.networks.ports import PublishedPort
from runc_cpi.daemon.networks.rules import Ruleset

# The bridges that each VM is connected to that has an interface, by the VM's cid.
Connections = Mapping[str, Sequence[str]]


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

    def connected() -> Awaitable[Connections]:
        """
        Return the bridges that each VM is connected to that has an interface.

        @raise CloudError: if the kernel refuses to tell.
        """

    def set_up(
        subnets: Sequence[Subnet], known: Collection[Subnet] = ()
    ) -> Awaitable[Mapping[Subnet, str]]:
        """
        Have the bridges of these subnets with the host's addresses, and no other ones.

        Bridges that the daemon did not make stay.  So do those that have a port.

        @param known: subnets whose bridges are there, and are not looked at.
        @return: why not, for each subnet that cannot be had.
        @raise CloudError: if the kernel refuses to tell which bridges there are.
        """

    def overlap(subnet: Subnet) -> Awaitable[str | None]:
        """
        Name the network of the host that a subnet overlaps with, or return L{None}.

        @raise CloudError: if the kernel refuses to tell.
        """

    def own_networks() -> Awaitable[Collection[IPv4Network]]:
        """
        Return the networks of IPv4 that the host has an address in, or a route to.

        Those of the daemon's bridges do not count.

        @raise CloudError: if the kernel refuses to tell.
        """

    def reach(peering: Peering) -> Awaitable[Reached]:
        """
        Have ways to the VMs of these peers, and of no others.

        Routes of anybody else stay.

        @raise CloudError: if the kernel refuses to tell which there are.
        """

    def route(
        blocks: Collection[RoutedBlock], *, afresh: bool = False
    ) -> Awaitable[Reached]:
        """
        Have routes to these blocks of VMs, and to no others.

        Routes of anybody else stay.

        @param afresh: whether to look for what somebody else took away.
        @raise CloudError: if the kernel refuses to tell which there are.
        """

    def own_addresses() -> Awaitable[Collection[Address]]:
        """
        Return the addresses that the host itself has.

        @raise CloudError: if the kernel refuses to tell.
        """


class IAddressPools(Interface):
    """Hands out the addresses of all subnets, and takes them back."""

    configured: Sequence[Subnet] = Attribute("the subnets that are always there")
    subnets: Sequence[Subnet] = Attribute("all subnets; the configured ones come first")
    lasting: Sequence[Subnet] = Attribute("the configured ones, and those that are kept")

    def described(gateway: InterfaceAddress, bridge: str | None = None) -> Subnet:
        """
        Return the subnet that VMs describe by the host's address in it.

        @param bridge: that of the subnet that it shares one with, if it does.
        """

    def open(subnet: Subnet) -> None:
        """
        Have a pool for one more subnet, until nobody has an address of it.

        @raise AddressUnavailable: if it overlaps with another subnet.
        """

    def keep(subnet: Subnet) -> None:
        """
        Have a pool for one more subnet until L{let_go}, also if VMs have described it.

        @raise AddressUnavailable: if it overlaps with another subnet.
        """

    def let_go(subnet: Subnet) -> None:
        """
        Have a pool for a subnet only as long as somebody has an address of it.

        One that is not kept is left as it is.
        """

    def holders(subnet: Subnet) -> Mapping[Holding, str]:
        """Return who has what of a subnet; nothing if there is no such subnet."""

    def sharing(bridge: str) -> set[str]:
        """Return who has something of a subnet that has this bridge."""

    def acquire(
        subnet: Subnet, owner: str, but: Collection[Address] = ()
    ) -> Awaitable[Address]:
        """
        Give C{owner} the highest free address of a subnet.

        @param but: addresses that it must not get.
        @raise AddressUnavailable: if none is left.
        """

    def claim(holding: Holding, owner: str, *, recorded: bool = False) -> Awaitable[None]:
        """
        Give C{owner} this very address, or this block of them; it may have it already.

        @param recorded: whether it had that before, which may be reserved since.
        @raise AddressUnavailable: saying why not.
        """

    def protect(holding: Holding, owner: str) -> None:
        """Have nobody but C{owner} get what is in a subnet that is not known."""

    def release(owner: str) -> Awaitable[None]:
        """Take back all that C{owner} has, if anything."""

    def owner(address: Address) -> str | None:
        """Return who has an address, or L{None} if nobody does."""


class INameService(Interface):
    """Answers the DNS queries of VMs at the gateways of their subnets."""

    def serve(
        subnets: Collection[Subnet], client_of: Callable[[str], str] = str
    ) -> Awaitable[None]:
        """
        Answer at the gateways of these subnets, and of no others.

        Their bridges are there.  Whoever makes or removes one calls this again.  If it is
        not possible at a gateway, that is logged, and no error.

        @param client_of: names who has an address, as a VM may have many: bounds are those
            of all that one client asks.
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

    def of_others() -> Awaitable[Sequence[Claims]]:
        """
        Return what other daemons of this host have of its ports and addresses.

        @raise CloudError: if the kernel refuses to tell.
        """

    def restore() -> Awaitable[bool]:
        """
        Put back what somebody else took away since L{apply}.

        @return: whether something was missing.
        @raise CloudError: if the kernel refuses.
        """


class IHostPorts(Interface):
    """Tells which ports the host itself has in use."""

    def user(port: PublishedPort, versions: Collection[int]) -> Awaitable[str | None]:
        """
        Name a process of the host that one of these ports leads to now, if there is one.

        @param versions: the kinds of IP, 4 and 6, that are to lead elsewhere.
        @raise CloudError: if the kernel refuses to tell.
        """

    def is_local(address: Address) -> bool:
        """Say whether an address is one of this host's own."""
