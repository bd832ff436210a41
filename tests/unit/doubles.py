"""
Stand-ins for the host: what the domain asks of it is noted, and answered as told.

Each provides the whole of its interface, which is verified below.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute, fail, succeed
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.disks.disks import DiskPolicy, Disks
from runc_cpi.daemon.disks.snapshots import Snapshots
from runc_cpi.daemon.networks.address_pool import AddressPool
from runc_cpi.daemon.networks.interfaces import INetworker
from runc_cpi.daemon.networks.requests import NetworkPlan
from runc_cpi.daemon.reconcile.reconciler import Reconciler
from runc_cpi.daemon.stemcells.interfaces import IArchiver, IUpload
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.daemon.vms.containers import ContainerPolicy, Containers
from runc_cpi.daemon.vms.interfaces import IGuests, IInit, IRuntime
from runc_cpi.daemon.vms.registry import Registry
from runc_cpi.daemon.vms.vm import NewVM
from runc_cpi.daemon.vms.vms import VMs
from runc_cpi.daemon.vms.watcher import Watcher
from runc_cpi.errors import StillRunning
from tests.unit.disk_doubles import FakeDriver, FakeImages
from tests.unit.script import Script

NETWORK = IPv4Network("10.0.0.0/29")
GATEWAY = IPv4Address("10.0.0.1")


@implementer(IInit)
class FakeInit:
    """A first process that ends at the first signal."""

    pid = 4242

    def __init__(self, runtime: FakeRuntime, container_id: str) -> None:
        self._runtime, self._container_id = runtime, container_id
        self._signals: list[int] = []

    def send(self, number: int) -> None:
        """Note the signal."""
        self._signals.append(number)
        self._runtime.script.done.append(f"signal {number}")

    def ended_within(self, seconds: float | None) -> Awaitable[bool]:
        """End at the first signal."""
        if seconds is None:
            self._watching = Deferred()
            self._runtime.watched[self._container_id] = self._watching
            return self._watching
        ended = bool(self._signals)
        if ended:
            self._runtime.running.discard(self._container_id)
        return succeed(ended)

    def exit_status(self) -> Awaitable[int | None]:
        """Return what the test has set."""
        return succeed(self._runtime.status)

    def close(self) -> None:
        """Let go."""
        self._runtime.script.done.append("close")


@implementer(IRuntime)
class FakeRuntime:
    """
    Containers that are no more than names.

    @ivar running: which run.
    @ivar made: which were made, and are known until they are deleted.
    @ivar lowers: the file system below that each was made with.
    @ivar hanging: whether killing them is of no use.
    @ivar watched: what fires at the end of one that is watched.
    @ivar status: the wait status of those that end.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.running: set[str] = set()
        self.made: set[str] = set()
        self.lowers: dict[str, Path] = {}
        self.hanging = False
        self.watched: dict[str, Deferred[bool]] = {}
        self.status: int | None = None

    def create(self, container_id: str, bundle: Path, lower: Path) -> Awaitable[int]:
        """Make a container."""
        self.made.add(container_id)
        self.lowers[container_id] = lower
        return self.script.act("create", FakeInit.pid)

    def start(self, container_id: str, bundle: Path) -> Awaitable[None]:
        """Have it run."""
        started = self.script.act("start")
        return started.addCallback(lambda _: self.running.add(container_id))

    def delete(self, container_id: str, bundle: Path) -> Awaitable[None]:
        """End and remove it."""
        if self.hanging and container_id in self.running:
            return fail(StillRunning(f"{container_id} hangs"))
        self.running.discard(container_id)
        self.made.discard(container_id)
        return self.script.act("delete")

    def execute(
        self, container_id: str, bundle: Path, argv: Sequence[str], timeout: float
    ) -> Awaitable[Any]:
        """Run nothing."""
        return self.script.act("execute")

    def known(self) -> list[str]:
        """Name what was made."""
        return sorted(self.made)

    def knows(self, container_id: str) -> bool:
        """Say whether it was made, and not deleted since."""
        return container_id in self.made

    def find_init(self, container_id: str, bundle: Path) -> FakeInit | None:
        """Take hold of the first process of what runs."""
        return FakeInit(self, container_id) if container_id in self.running else None


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


@implementer(IGuests)
class FakeGuests:
    """
    Guests whose files are no more than notes.

    @ivar cleared: where it was cleared up before a boot.
    @ivar written: what was written, by name.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.cleared: list[str] = []
        self.written: dict[str, str] = {}

    def run(self, vm_cid: str, work: Callable[[], Any]) -> Any:
        """Do it at once, on the real files."""
        return execute(work)

    def prepare(
        self, vm_cid: str, pid: int, stale: str, pid_files: str, writable: Any
    ) -> Any:
        """Note it."""
        self.cleared += [stale, pid_files]
        return self._script.act("prepare")

    def write(self, vm_cid: str, pid: int, name: str, content: str) -> Any:
        """Keep it."""
        self.written[name] = content
        return self._script.act("write settings")


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
        """Remove the tree for real, unless that is to fail."""
        removed = self._script.act("remove")
        if "remove" not in self._script.failing:
            shutil.rmtree(path, ignore_errors=True)
        return removed


def _unpack(target: Path) -> None:
    program = target / "usr/sbin/runsvdir-start"
    program.parent.mkdir(parents=True)
    program.touch()
    program.chmod(0o755)


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """A real domain over a host that is made up; disks have a script of their own."""

    runtime: FakeRuntime
    guests: FakeGuests
    driver: FakeDriver
    images: FakeImages
    pool: AddressPool
    stemcells: Stemcells
    containers: Containers
    disks: Disks
    snapshots: Snapshots
    vms: VMs
    reconciler: Reconciler
    networker: FakeNetworker
    clock: Clock

    async def load(self) -> Repairs:
        """Begin as the daemon does."""
        return await self.reconciler.load()


def new_vm(stemcell_cid: str, **changes: Any) -> NewVM:
    """Return arguments of create_vm, with changes."""
    values: dict[str, Any] = {
        "agent_id": "agent-1",
        "stemcell_cid": stemcell_cid,
        "cloud_properties": {},
        "networks": {"n": {"type": "dynamic", "cloud_properties": {}}},
        "disk_cids": [],
        "env": {},
        "agent": {},
    }
    return NewVM(**{**values, **changes})


def assemble(
    script: Script,
    depot: Depot,
    disk_script: Script | None = None,
    *,
    overcommit: float = 1.0,
    restart: bool = False,
) -> Assembly:
    """Put a domain together; nothing is loaded yet."""
    archiver, images = FakeArchiver(script), FakeImages(script)
    scratch = Scratch(depot, archiver)
    stemcells = Stemcells(depot, archiver, images, scratch)
    driver = FakeDriver(disk_script or Script())
    policy = DiskPolicy(filesystem="ext4", overcommit=overcommit)
    disks = Disks(depot=depot, scratch=scratch, driver=driver, policy=policy)
    snapshots = Snapshots(
        depot=depot, trees=archiver, scratch=scratch, driver=driver, disks=disks
    )
    runtime, guests = FakeRuntime(script), FakeGuests(script)
    pool, networker = AddressPool(NETWORK, GATEWAY), FakeNetworker(script)
    registry, watcher, clock = Registry(depot, stemcells, pool), Watcher(), Clock()
    containers = Containers(
        policy=ContainerPolicy(
            capabilities=[],
            cgroup_parent="/c",
            pids=100,
            open_files=1024,
            swap_accounting=False,
            privileged=False,
            all_capabilities=[],
        ),
        depot=depot,
        runtime=runtime,
        networker=networker,
        guests=guests,
        disks=disks,
        watcher=watcher,
    )
    vms = VMs(
        registry=registry,
        stemcells=stemcells,
        containers=containers,
        disks=disks,
        pool=pool,
        plan=NetworkPlan(network=NETWORK, gateway=GATEWAY, dns=["192.0.2.53"]),
        scratch=scratch,
    )
    reconciler = Reconciler(
        reactor=clock,
        registry=registry,
        stemcells=stemcells,
        containers=containers,
        disks=disks,
        snapshots=snapshots,
        vms=vms,
        scratch=scratch,
        watcher=watcher,
        restart=restart,
    )
    return Assembly(
        runtime=runtime,
        guests=guests,
        driver=driver,
        images=images,
        pool=pool,
        stemcells=stemcells,
        containers=containers,
        disks=disks,
        snapshots=snapshots,
        vms=vms,
        reconciler=reconciler,
        networker=networker,
        clock=clock,
    )


verifyObject(IRuntime, FakeRuntime(Script()))
verifyObject(IInit, FakeInit(FakeRuntime(Script()), ""))
verifyObject(INetworker, FakeNetworker(Script()))
verifyObject(IGuests, FakeGuests(Script()))
verifyObject(IArchiver, FakeArchiver(Script()))
verifyObject(IUpload, FakeUpload(Script(), Path()))
