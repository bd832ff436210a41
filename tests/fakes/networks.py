"""Fakes of the VM network."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.defer import succeed
from zope.interface import implementer
from zope.interface.verify import verifyObject

from runc_cpi.daemon.networks.interfaces import IFirewall, IHostPorts, INetworker
from runc_cpi.daemon.networks.model import Nic
from runc_cpi.daemon.networks.ports import PublishedPort
from runc_cpi.daemon.networks.rules import NO_RULES, Ruleset
from tests.fakes.script import Script


@implementer(INetworker)
class FakeNetworker:
    """
    Interfaces that are no more than notes.

    @ivar links: who has one.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.links: set[str] = set()

    def connect(self, vm_cid: str, pid: int, nics: Sequence[Nic]) -> Any:
        """Note it."""
        self.links.add(vm_cid)
        return self._script.act("connect")

    def guard(self, vm_cid: str, nics: Sequence[Nic]) -> Any:
        """Say that it was so already."""
        return succeed(False)

    def disconnect(self, vm_cid: str) -> Any:
        """Note it."""
        self.links.discard(vm_cid)
        return self._script.act("disconnect")

    def connected(self) -> Any:
        """Name who was connected."""
        return succeed(set(self.links))


@implementer(IFirewall)
class FakeFirewall:
    """
    Rules that are no more than notes.

    @ivar ruleset: the last ones.
    @ivar missing: whether somebody took them away.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.ruleset = NO_RULES
        self.missing = False

    def apply(self, ruleset: Ruleset) -> Any:
        """Note them."""
        if ruleset == self.ruleset:
            return succeed(None)
        self.ruleset, self.missing = ruleset, False
        return self._script.act("apply rules")

    def reflect(self, vm_cid: str) -> Any:
        """Note whom."""
        return self._script.act(f"reflect {vm_cid}")

    def restore(self) -> Any:
        """Say whether they were taken away."""
        missing, self.missing = self.missing, False
        return succeed(missing)


@implementer(IHostPorts)
class FakeHostPorts:
    """
    A host with two addresses, and one process.

    @ivar taken: the port that the process has, if it is there.
    """

    addresses = ("127.0.0.1", "192.0.2.1")

    def __init__(self) -> None:
        self.taken: int | None = None

    def user(self, port: PublishedPort) -> Any:
        """Name the process if it has one of the ports."""
        if self.taken is not None and port.first <= self.taken <= port.last:
            return succeed("process 1 (init) of this host")
        return succeed(None)

    def is_local(self, address: IPv4Address) -> bool:
        """Say whether the host has that address."""
        return str(address) in self.addresses


verifyObject(IFirewall, FakeFirewall(Script()))
verifyObject(IHostPorts, FakeHostPorts())
verifyObject(INetworker, FakeNetworker(Script()))
