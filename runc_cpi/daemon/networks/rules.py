"""What the host does for VMs with packets that go through it, as follows from the VMs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import IPv4Network

from runc_cpi.daemon.networks.blocks import RoutedBlock
from runc_cpi.daemon.networks.model import Address, Subnet
from runc_cpi.daemon.networks.peers import NO_PEERS, Peering
from runc_cpi.daemon.networks.ports import ANYWHERE, PublishedPort


@dataclass(frozen=True, kw_only=True)
class Redirection:
    """
    One port of the host, and where it leads.

    @ivar protocol: C{tcp} or C{udp}.
    @ivar address: the host's address, or L{None} for all of the kind that the VM's is of.
    @ivar port: the host's port.
    @ivar vm_address: the VM's address.
    @ivar vm_port: the VM's port.
    """

    protocol: str
    address: Address | None
    port: int
    vm_address: Address
    vm_port: int


@dataclass(frozen=True, kw_only=True)
class Vip:
    """
    One address of the host that leads to a VM, with all its ports and protocols.

    @ivar address: the host's address.
    @ivar vm_address: the VM's address.
    @ivar is_source: whether the VM leaves its subnet by it.
    """

    address: Address
    vm_address: Address
    is_source: bool


@dataclass(frozen=True, kw_only=True)
class Occupant:
    """
    What rules follow from, of one VM.

    @ivar addresses: all it has; the first is the main one.
    @ivar ports: what it publishes.
    @ivar vips: the addresses of the host that it has.
    @ivar blocks: the blocks of addresses that are routed to it.
    """

    addresses: tuple[Address, ...]
    ports: tuple[PublishedPort, ...] = ()
    vips: tuple[Address, ...] = ()
    blocks: frozenset[RoutedBlock] = frozenset()

    @cached_property
    def redirections(self) -> Mapping[Address, frozenset[Redirection]]:
        """
        Each of its ports, by the address that it leads to: the first of its kind.

        Sets of all of them are made anew for each change.
        """
        first: dict[int, Address] = {}
        for address in self.addresses:
            first.setdefault(address.version, address)
        return {
            address: frozenset(
                Redirection(
                    protocol=port.protocol,
                    address=None if port.address in ANYWHERE.values() else port.address,
                    port=number,
                    vm_address=address,
                    vm_port=port.container + number - port.first,
                )
                for port in self.ports
                for number in port.numbers
                if port.address is None or port.address.version == address.version
            )
            for address in first.values()
        }


@dataclass(frozen=True, kw_only=True)
class Ruleset:
    """
    All rules.  For VMs that stay inside there need not be any.

    @ivar bridges: the bridges of subnets with VMs.
    @ivar routed: those of subnets of IPv6, whose VMs reach other networks.
    @ivar translated: those whose VMs leave by the host's addresses of IPv4.
    @ivar translated6: the same for IPv6.
    @ivar isolated: those that are kept apart from the others with IPv4.
    @ivar isolated6: the same for IPv6.
    @ivar delegated: those of VMs with blocks of IPv4, which are reached from elsewhere.
    @ivar looped: those that the host reaches from its loopback addresses.
    @ivar own: the addresses of VMs that can meet themselves: by ports that they publish,
        or by addresses of the host that they have.
    @ivar redirections: the published ports.
    @ivar vips: the addresses of the host that VMs have.
    @ivar peering: the hosts whose VMs reach those of this host as they are.
    @ivar remote: the networks of these VMs, but none that overlaps with one of this host.
    """

    bridges: frozenset[str] = frozenset()
    routed: frozenset[str] = frozenset()
    translated: frozenset[str] = frozenset()
    translated6: frozenset[str] = frozenset()
    isolated: frozenset[str] = frozenset()
    isolated6: frozenset[str] = frozenset()
    delegated: frozenset[str] = frozenset()
    looped: frozenset[str] = frozenset()
    own: frozenset[Address] = frozenset()
    redirections: frozenset[Redirection] = frozenset()
    vips: frozenset[Vip] = frozenset()
    peering: Peering = NO_PEERS
    remote: frozenset[IPv4Network] = frozenset()

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to do but to let pass what goes by the bridges."""
        return bool(self.forwarded or self.isolated or self.isolated6)

    @cached_property
    def forwarded(self) -> frozenset[int]:
        """The kinds of IP, 4 and 6, whose packets the host has to forward."""
        kinds = {redirection.vm_address.version for redirection in self.redirections}
        if self.translated or self.delegated or self.vips or self.peering.peers:
            kinds.add(4)
        if self.routed:
            kinds.add(6)
        return frozenset(kinds)

    def __sub__(self, other: Ruleset) -> Ruleset:
        """Return what is in the sets of this ruleset, and not in those of another."""
        return Ruleset(
            bridges=self.bridges - other.bridges,
            routed=self.routed - other.routed,
            translated=self.translated - other.translated,
            translated6=self.translated6 - other.translated6,
            isolated=self.isolated - other.isolated,
            isolated6=self.isolated6 - other.isolated6,
            delegated=self.delegated - other.delegated,
            looped=self.looped - other.looped,
            own=self.own - other.own,
            redirections=self.redirections - other.redirections,
            vips=self.vips - other.vips,
            remote=self.remote - other.remote,
        )


NO_RULES = Ruleset()


def rules(
    subnets: Sequence[Subnet], occupants: Iterable[Occupant], peering: Peering = NO_PEERS
) -> Ruleset:
    """
    Return the rules that follow from subnets and VMs.

    A subnet without a VM needs none.  Without any VM there are no peers.

    @param subnets: those of this host.
    @param peering: the peers of the configuration.
    """
    # A bridge has one subnet of a kind.
    used: dict[int, dict[str, Subnet]] = {4: {}, 6: {}}
    delegated: set[str] = set()
    looped: set[str] = set()
    own: set[Address] = set()
    redirections: set[Redirection] = set()
    vips: set[Vip] = set()
    for occupant in occupants:
        for address in occupant.addresses:
            subnet = _subnet_with(address, subnets)
            if subnet is None:
                continue
            used[subnet.version][subnet.bridge] = subnet
            led = occupant.redirections.get(address)
            if led:
                own.add(address)
                redirections |= led
                if address.version == 4 and any(_is_looped(each) for each in led):
                    looped.add(subnet.bridge)
        delegated |= {b.bridge for b in occupant.blocks if b.block.version == 4}
        vips |= _vips(occupant, subnets)
    own |= {vip.vm_address for vip in vips}
    ruleset = Ruleset(
        bridges=frozenset(used[4] | used[6]),
        routed=frozenset(used[6]),
        translated=frozenset(name for name, subnet in used[4].items() if subnet.nat),
        translated6=frozenset(name for name, subnet in used[6].items() if subnet.nat),
        isolated=frozenset(name for name, subnet in used[4].items() if subnet.isolated),
        isolated6=frozenset(name for name, subnet in used[6].items() if subnet.isolated),
        delegated=frozenset(delegated & used[4].keys()),
        looped=frozenset(looped),
        own=frozenset(own),
        redirections=frozenset(redirections),
        vips=frozenset(vips),
    )
    return with_peers(ruleset, subnets, peering)


def with_peers(ruleset: Ruleset, subnets: Sequence[Subnet], peering: Peering) -> Ruleset:
    """
    Return the rules of VMs with what follows from peers.

    @param subnets: those of this host.
    @param peering: the peers of the configuration.
    """
    used = [subnet for subnet in subnets if subnet.bridge in ruleset.bridges]
    reached = _with_source(peering, used)
    return replace(
        ruleset,
        peering=reached,
        remote=frozenset(cidr for cidr in reached.cidrs if _is_elsewhere(cidr, subnets)),
    )


def _is_elsewhere(cidr: IPv4Network, subnets: Sequence[Subnet]) -> bool:
    """Say whether a network of a peer has no address of a VM of this host."""
    return not any(cidr.overlaps(subnet.cidr) for subnet in subnets)


def _vips(occupant: Occupant, subnets: Sequence[Subnet]) -> set[Vip]:
    """
    Return the addresses of the host that a VM has; each leads to its first of that kind.

    It leaves by the first one that is in no subnet: others know no way back to a subnet.
    """
    found = set()
    outside = [vip for vip in occupant.vips if _subnet_with(vip, subnets) is None]
    for vip in occupant.vips:
        own = [a for a in occupant.addresses if a.version == vip.version]
        if own and _subnet_with(own[0], subnets) is not None:
            found.add(Vip(address=vip, vm_address=own[0], is_source=vip in outside[:1]))
    return found


def _with_source(peering: Peering, used: Sequence[Subnet]) -> Peering:
    """
    Return the peers as VMs need them.

    The host itself has its address in a subnet with VMs for those of peers, which send
    their answers the same way.

    @param used: the subnets with VMs.
    """
    # Between hosts there is IPv4 alone.
    gateways = [subnet.gateway for subnet in used if subnet.gateway.version == 4]
    if not gateways or not peering.peers:
        return NO_PEERS
    return replace(peering, source=gateways[0])


def _subnet_with(address: Address, subnets: Sequence[Subnet]) -> Subnet | None:
    return next((subnet for subnet in subnets if address in subnet.cidr), None)


def _is_looped(port: Redirection) -> bool:
    return port.address is None or port.address.is_loopback
