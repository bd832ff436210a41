"""Fakes of the VM network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer
from zope.interface.verify import verifyObject

from runc_cpi.daemon.networks.blocks import RoutedBlock
from runc_cpi.daemon.networks.claims import Claims
from runc_cpi.daemon.networks.interfaces import (
    IFirewall,
    IHostPorts,
    INameService,
    INetworker,
)
from runc_cpi.daemon.networks.model import Address, Nic, Subnet
from runc_cpi.daemon.networks.peers import NO_PEERS, Peering, Reached
from runc_cpi.daemon.networks.ports import PublishedPort
from runc_cpi.daemon.networks.rules import NO_RULES, Ruleset
from tests.fakes.script import Script


@implementer(INetworker)
class FakeNetworker:
    """
    Interfaces that are no more than notes.

    @ivar links: the bridges that each VM has one to.
    @ivar subnets: those that have a bridge.
    @ivar peering: the peers that there are ways to.
    @ivar problems: what cannot be had of these.
    @ivar blocks: the blocks that there are routes to.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.links: dict[str, list[str]] = {}
        self.subnets: Sequence[Subnet] = ()
        self.blocks: frozenset[RoutedBlock] = frozenset()
        self.peering = NO_PEERS
        self.problems: tuple[str, ...] = ()

    def connect(self, vm_cid: str, pid: int, nics: Sequence[Nic]) -> Any:
        """Note it."""
        self.links[vm_cid] = [nic.bridge for nic in nics]
        return self._script.act("connect")

    def guard(self, vm_cid: str, nics: Sequence[Nic]) -> Any:
        """Say that it was so already."""
        return succeed(False)

    def disconnect(self, vm_cid: str) -> Any:
        """Note it."""
        self.links.pop(vm_cid, None)
        return self._script.act("disconnect")

    def connected(self) -> Any:
        """Tell who was connected, and to which bridges."""
        return succeed(dict(self.links))

    def set_up(self, subnets: Sequence[Subnet], known: Collection[Subnet] = ()) -> Any:
        """Note it; routes go with their bridges."""
        self.subnets = subnets
        bridges = {subnet.bridge for subnet in subnets}
        self.blocks = frozenset(b for b in self.blocks if b.bridge in bridges)
        return self._script.act("set up", {})

    def overlap(self, subnet: Subnet) -> Any:
        """Say that the host has no network of its own."""
        return succeed(None)

    def own_networks(self) -> Any:
        """Say that the host has no network of its own."""
        return succeed(set())

    def reach(self, peering: Peering) -> Any:
        """Note them, and say what is wrong."""
        if peering == self.peering and not self.problems:
            return succeed(Reached(changed=False))
        self.peering = peering
        reached = Reached(changed=True, problems=self.problems)
        return self._script.act("reach peers", reached)

    def route(self, blocks: Collection[RoutedBlock], *, afresh: bool = False) -> Any:
        """Note them, those whose bridge is there."""
        bridges = {subnet.bridge: subnet for subnet in self.subnets}
        wanted = frozenset(block for block in blocks if block.bridge in bridges)
        lacking = {b.block: f"no route to {b.block}" for b in {*blocks} - wanted}
        problems = tuple(lacking.values())
        if wanted == self.blocks:
            return succeed(Reached(changed=False, problems=problems, lacking=lacking))
        self.blocks = wanted
        reached = Reached(changed=True, problems=problems, lacking=lacking)
        return self._script.act("route blocks", reached)

    def own_addresses(self) -> Any:
        """Return the addresses of the bridges."""
        return succeed({subnet.gateway for subnet in self.subnets})


@implementer(INameService)
class FakeNameService:
    """
    Gateways that are said to answer.

    @ivar served: the subnets at whose gateways it answers.
    @ivar client_of: names who has an address.
    """

    def __init__(self) -> None:
        self.served: list[Subnet] = []
        self.client_of: Callable[[str], str] = str

    def serve(
        self, subnets: Collection[Subnet], client_of: Callable[[str], str] = str
    ) -> Any:
        """Note them."""
        self.client_of = client_of
        self.served = list(subnets)
        return succeed(None)

    def retry(self) -> Any:
        """Do nothing: nothing can fail."""
        return succeed(None)

    def name_servers(self, subnet: Subnet) -> Sequence[str]:
        """Return the subnet's, or the gateway; the host has none."""
        if subnet.dns:
            return subnet.dns
        return [str(subnet.gateway)] if subnet in self.served else []

    def stop(self) -> Any:
        """Answer nowhere."""
        return self.serve([])


@implementer(IFirewall)
class FakeFirewall:
    """
    Rules that are no more than notes.

    @ivar ruleset: the last ones.
    @ivar missing: whether somebody took them away.
    @ivar others: what other daemons have.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.ruleset = NO_RULES
        self.missing = False
        self.others: list[Claims] = []

    def apply(self, ruleset: Ruleset) -> Any:
        """Note them."""
        if ruleset == self.ruleset:
            return succeed(None)
        self.ruleset, self.missing = ruleset, False
        return self._script.act("apply rules")

    def reflect(self, vm_cid: str) -> Any:
        """Note whom."""
        return self._script.act(f"reflect {vm_cid}")

    def of_others(self) -> Any:
        """Tell what they have."""
        return succeed(self.others)

    def restore(self) -> Any:
        """Say whether they were taken away."""
        missing, self.missing = self.missing, False
        return succeed(missing)


@implementer(IHostPorts)
class FakeHostPorts:
    """
    A host with some addresses, and one process.

    @ivar taken: the port that the process has, if it is there.
    @ivar answer: what L{user} returns instead, if anything.
    """

    addresses = ("127.0.0.1", "192.0.2.1", "2001:db8::1")

    def __init__(self) -> None:
        self.taken: int | None = None
        self.answer: Deferred[str | None] | None = None

    def user(self, port: PublishedPort, versions: Collection[int]) -> Any:
        """Name the process if it has one of the ports, which it has of IPv4."""
        if self.answer is not None:
            return self.answer
        if (
            4 in versions
            and self.taken is not None
            and port.first <= self.taken <= port.last
        ):
            return succeed("process 1 (init) of this host")
        return succeed(None)

    def is_local(self, address: Address) -> bool:
        """Say whether the host has that address."""
        return str(address) in self.addresses


verifyObject(IFirewall, FakeFirewall(Script()))
verifyObject(IHostPorts, FakeHostPorts())
verifyObject(INetworker, FakeNetworker(Script()))
verifyObject(INameService, FakeNameService())
