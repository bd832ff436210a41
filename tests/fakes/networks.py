"""A fake of the VM network."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.defer import succeed
from zope.interface import implementer
from zope.interface.verify import verifyObject

from runc_cpi.daemon.networks.interfaces import INetworker
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

    def connect(self, vm_cid: str, pid: int, addresses: Sequence[IPv4Address]) -> Any:
        """Note that the VM has an interface."""
        self.links.add(vm_cid)
        return self._script.act("connect")

    def guard(self, vm_cid: str, addresses: Sequence[IPv4Address]) -> Any:
        """Say that there was nothing to do."""
        return succeed(False)

    def disconnect(self, vm_cid: str) -> Any:
        """Note that the VM has none any more."""
        self.links.discard(vm_cid)
        return self._script.act("disconnect")

    def connected(self) -> Any:
        """Name the VMs that have an interface."""
        return succeed(set(self.links))


verifyObject(INetworker, FakeNetworker(Script()))
