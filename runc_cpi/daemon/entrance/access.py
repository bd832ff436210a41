"""Who may connect: by address, and without TLS by who is at that address."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

from runc_cpi.daemon.entrance.interfaces import ISockets
from runc_cpi.daemon.vms.vm import VM

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
ROOT = 0


@dataclass(frozen=True)
class Refusal:
    """
    Why a peer is not let in.

    @ivar who: the peer, as the operator knows it.
    @ivar remedy: what lets it in.
    """

    who: str
    remedy: str


def address_of(peer: Any) -> Address:
    """Return a peer's address, which an IPv6 socket and a link's zone may disguise."""
    address = ip_address(peer.host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_within(address: Address, networks: Sequence[Network]) -> bool:
    """Say whether an address is in one of some networks."""
    return any(address in network for network in networks)


@dataclass(frozen=True, kw_only=True)
class Access:
    """
    Who may connect without TLS.

    Of the host itself it is processes of some users, by whatever address they come; of
    VMs those that are made so.

    @ivar networks: from where everybody else may connect.  With a loopback address
        among them, every user of the host may.
    @ivar users: uids beside root's.
    @ivar sockets: tells whose a connection is.
    @ivar vm_at: returns the VM that has an address.
    """

    networks: Sequence[Network]
    users: Collection[int]
    sockets: ISockets
    vm_at: Callable[[Address], VM | None]

    def refusal(self, peer: Any, own: Any) -> Refusal | None:
        """
        Return why a connection is refused, or L{None} if it is let in.

        @param peer: the address and port of the other end, as Twisted gives them.
        @param own: those of this end.
        """
        address = address_of(peer)
        if address.is_loopback and is_within(address, self.networks):
            return None
        try:
            if address.is_loopback or self.sockets.is_local(address):
                owner = self.sockets.owner(address, peer.port, address_of(own), own.port)
                return self._of_user(owner, address)
        except OSError as error:
            who = f"{address}, as the kernel does not tell whose it is ({error.strerror})"
            return Refusal(who, "set tls")
        if is_within(address, self.networks):
            return None
        vm = self.vm_at(address)
        if vm is None:
            return Refusal(str(address), "add it to allow_from, or set tls")
        if vm.may_call:
            return None
        remedy = "give it cloud_properties.cpi_access, or set tls"
        return Refusal(f"{vm.vm_cid} at {address}", remedy)

    def _of_user(self, uid: int | None, address: Address) -> Refusal | None:
        if uid is None:
            who = f"a socket at {address} that no process has"
            return Refusal(who, "keep it open, have tcp_diag in the kernel, or set tls")
        if uid == ROOT or uid in self.users:
            return None
        return Refusal(
            f"user {uid} of this host", "add the user to allow_users, or set tls"
        )
