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
        """Note it."""
        self.links.add(vm_cid)
        return self._script.act("connect")

    def guard(self, vm_cid: str, addresses: Sequence[IPv4Address]) -> Any:
        """Say that it was so already."""
        return succeed(False)

    def disconnect(self, vm_cid: str) -> Any:
        """Note it."""
        self.links.discard(vm_cid)
        return self._script.act("disconnect")

    def connected(self) -> Any:
        """Name who was connected."""
        return succeed(set(self.links))


verifyObject(INetworker, FakeNetworker(Script()))
