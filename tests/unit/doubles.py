"""
Stand-ins for the host: what the domain asks of it is noted, and answered as told.

Each provides the whole of its interface, which is verified below.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer
from zope.interface.verify import verifyObject

from runc_cpi.daemon.domain.addresses import AddressPool
from runc_cpi.daemon.domain.interfaces import (
    IArchiver,
    IInit,
    INetworker,
    IRuntime,
    IUpload,
)
from runc_cpi.daemon.domain.networks import NetworkPlan
from runc_cpi.daemon.domain.stemcells import Stemcells
from runc_cpi.daemon.domain.vms import Host, VMs
from runc_cpi.daemon.storage.depot import Depot

NETWORK = IPv4Network("10.0.0.0/29")
GATEWAY = IPv4Address("10.0.0.1")


class Script:
    """
    What is done, in order, and how it ends.

    @ivar done: the name of each operation.
    @ivar failing: errors by the name of the operation that fails with them.
    @ivar pending: operations that end when the test says so.
    """

    def __init__(self) -> None:
        self.done: list[str] = []
        self.failing: dict[str, Exception] = {}
        self.pending: dict[str, Deferred[None]] = {}

    def act(self, name: str, result: Any = None) -> Deferred[Any]:
        """Note an operation, and end it as scripted."""
        self.done.append(name)
        if name in self.failing:
            return fail(self.failing[name])
        if name in self.pending:
            return self.pending[name].addCallback(lambda _: result)
        return succeed(result)


@implementer(IInit)
class FakeInit:
    """A first process that ends when it is killed, unless it hangs."""

    pid = 4242

    def __init__(self, runtime: FakeRuntime, container_id: str) -> None:
        self._runtime, self._container_id = runtime, container_id
        self._signals: list[int] = []

    def send(self, number: int) -> None:
        """Note the signal."""
        self._signals.append(number)
        self._runtime.script.done.append(f"signal {number}")

    def ended_within(self, seconds: float) -> Awaitable[bool]:
        """End at the first signal, unless this runtime's processes hang."""
        ended = bool(self._signals) and not self._runtime.hanging
        if ended:
            self._runtime.running.discard(self._container_id)
        return succeed(ended)

    def close(self) -> None:
        """Let go."""
        self._runtime.script.done.append("close")


@implementer(IRuntime)
class FakeRuntime:
    """
    Containers that are no more than names.

    @ivar running: which run.
    @ivar hanging: whether killing them is of no use.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.running: set[str] = set()
        self.hanging = False

    def create(self, container_id: str, bundle: Path) -> Awaitable[int]:
        """Make a container."""
        return self.script.act("create", FakeInit.pid)

    def start(self, container_id: str, bundle: Path) -> Awaitable[None]:
        """Have it run."""
        started = self.script.act("start")
        return started.addCallback(lambda _: self.running.add(container_id))

    def delete(self, container_id: str, bundle: Path) -> Awaitable[None]:
        """Remove it."""
        self.running.discard(container_id)
        return self.script.act("delete")

    def execute(
        self, container_id: str, bundle: Path, argv: Sequence[str], timeout: float
    ) -> Awaitable[Any]:
        """Run nothing."""
        return self.script.act("execute")

    def find_init(self, container_id: str, bundle: Path) -> FakeInit | None:
        """Take hold of the first process of what runs."""
        return FakeInit(self, container_id) if container_id in self.running else None


@implementer(INetworker)
class FakeNetworker:
    """Interfaces that are no more than notes."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def connect(self, vm_cid: str, pid: int, addresses: Sequence[IPv4Address]) -> Any:
        """Note it."""
        return self._script.act("connect")

    def disconnect(self, vm_cid: str) -> Any:
        """Note it."""
        return self._script.act("disconnect")


@implementer(IUpload)
class FakeUpload:
    """An image in pieces that are not kept."""

    def __init__(self, script: Script, target: Path) -> None:
        self._script, self._target = script, target

    def write(self, data: bytes) -> Any:
        """Note it."""
        return self._script.act("write")

    def finish(self) -> Any:
        """Unpack a stemcell with a shell, whatever came."""
        _unpack(self._target)
        return self._script.act("finish")

    def abort(self) -> Any:
        """Note it."""
        return self._script.act("abort")


@implementer(IArchiver)
class FakeArchiver:
    """Unpacks each image to the same small stemcell."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def open(self, target: Path) -> FakeUpload:
        """Take an image in pieces."""
        return FakeUpload(self._script, target)

    def unpack(self, image: int, target: Path) -> Any:
        """Read nothing."""
        os.fstat(image)
        _unpack(target)
        return self._script.act("unpack")

    def sync(self, path: Path) -> Any:
        """Note it."""
        return self._script.act("sync")

    def remove(self, path: Path) -> Any:
        """Remove the tree for real."""
        shutil.rmtree(path, ignore_errors=True)
        return self._script.act("remove")


def _unpack(target: Path) -> None:
    program = target / "usr/sbin/runsvdir-start"
    program.parent.mkdir(parents=True)
    program.touch()
    program.chmod(0o755)


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """A real domain over a host that is made up."""

    runtime: FakeRuntime
    pool: AddressPool
    stemcells: Stemcells
    vms: VMs


def assemble(script: Script, depot: Depot) -> Assembly:
    """Put a domain together; nothing is loaded yet."""
    archiver = FakeArchiver(script)
    stemcells = Stemcells(depot, archiver)
    runtime = FakeRuntime(script)
    pool = AddressPool(NETWORK, GATEWAY)
    plan = NetworkPlan(network=NETWORK, gateway=GATEWAY, dns=["192.0.2.53"])
    host = Host(capabilities=[], cgroup_parent="/c", swap_accounting=False, plan=plan)
    vms = VMs(
        host=host,
        depot=depot,
        stemcells=stemcells,
        runtime=runtime,
        networker=FakeNetworker(script),
        pool=pool,
        archiver=archiver,
    )
    return Assembly(runtime=runtime, pool=pool, stemcells=stemcells, vms=vms)


verifyObject(IRuntime, FakeRuntime(Script()))
verifyObject(IInit, FakeInit(FakeRuntime(Script()), ""))
verifyObject(INetworker, FakeNetworker(Script()))
verifyObject(IArchiver, FakeArchiver(Script()))
verifyObject(IUpload, FakeUpload(Script(), Path()))
