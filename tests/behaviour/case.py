"""What a behaviour has: a host, whatever it is made of, and arguments for its drivers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import TestCase
from zope.interface.interface import InterfaceClass

from runc_cpi.daemon.disks.interfaces import IDiskDriver
from runc_cpi.daemon.entrance.interfaces import ISockets
from runc_cpi.daemon.networks.interfaces import (
    IFirewall,
    IHostPorts,
    INameService,
    INetworker,
)
from runc_cpi.daemon.networks.model import Nic, Subnet
from runc_cpi.daemon.networks.planning import Lease, plan
from runc_cpi.daemon.networks.rules import Ruleset
from runc_cpi.daemon.stemcells.interfaces import IArchiver, IImages
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.storage.interfaces import ITrees
from runc_cpi.daemon.vms.interfaces import (
    IFirstProcess,
    IGuests,
    IMeter,
    IOOMKiller,
    IRootDisks,
    IRuntime,
)

VM = "vm-01234567-89ab-cdef-0123-456789abcdef"
# Tests may run in several processes at once.
CGROUP_PARENT = f"/behaviour-{os.getpid()}"
# What tells the daemon from others of the host.
DAEMON = f"behaviour {os.getpid()}"
SUBNET = Subnet(
    cidr=IPv4Network("10.99.0.0/24"),
    gateway=IPv4Address("10.99.0.1"),
    bridge="behaviour",
    dns=(),
)
# A file that each image has.
PROGRAM = "usr/sbin/runsvdir-start"


class HostCase(TestCase):
    """
    A test of what the host does, with a new host for each.

    @cvar interfaces: those whose behaviour is tested.
    @cvar ram: MiB that L{VM} may have, or L{None} for no limit.
    @ivar directory: an empty directory for the test.
    @ivar lower: the root file system of containers.
    @ivar namespace: the pid of a process with a network namespace of its own.
    @ivar image: the path of an archive with L{PROGRAM} in it.
    @ivar reference: of an OCI image with L{PROGRAM} in it.
    @ivar digest: the image's.
    @ivar connection: a connection that a process of this host has made.
    @ivar ends: its ends as L{ISockets.owner} wants them, that of the process first.
    @ivar uid: the user of that process.
    @ivar own_address: an address of this host.
    """

    timeout = 90  # seconds
    interfaces: ClassVar[tuple[InterfaceClass, ...]] = ()
    ram: ClassVar[int | None] = None
    directory: Path
    runtime: IRuntime
    guests: IGuests
    oom_killer: IOOMKiller
    meter: IMeter
    root_disks: IRootDisks
    networker: INetworker
    names: INameService
    firewall: IFirewall
    host_ports: IHostPorts
    archiver: IArchiver
    images: IImages
    trees: ITrees
    driver: IDiskDriver
    sockets: ISockets
    lower: Path
    namespace: int
    image: Path
    reference: str
    digest: str
    connection: Any
    ends: tuple[IPv4Address, int, IPv4Address, int]
    uid: int
    own_address: IPv4Address

    def make_directory(self) -> None:
        """Make the directory of L{VM}, unless it is there."""
        self.bundle.path.mkdir(exist_ok=True)

    def make_bundle(self, parts: Any = None) -> None:
        """
        Write what the container of L{VM} is made of.

        @param parts: what it gets for disks (L{IDiskDriver.boot}).
        """
        raise NotImplementedError

    def content_of(self, name: str) -> str:
        """Return the content of a file of L{VM}, by its path there."""
        raise NotImplementedError

    async def fill_memory(self) -> None:
        """Have the kernel kill a process of L{VM}, which runs, for want of memory."""
        raise NotImplementedError

    def take_rules_away(self) -> None:
        """Remove the rules of forwarding, as somebody else could."""
        raise NotImplementedError

    async def apply_elsewhere(self, ruleset: Ruleset) -> None:
        """Have another daemon of the host have these rules."""
        raise NotImplementedError

    def take_a_port(self) -> int:
        """Have a process of the host listen at a port of TCP, and return the port."""
        raise NotImplementedError

    @property
    def bundle(self) -> Bundle:
        """The directory of L{VM}."""
        return Bundle(self.directory / VM)

    def state(self, pid: int | None = None) -> ContainerState:
        """Describe the container of L{VM}, which runs if it has a C{pid}."""
        return ContainerState(bundle=self.bundle, pid=pid, cgroup=f"{CGROUP_PARENT}/{VM}")

    # The arguments of the interfaces' methods are made here, and nowhere else.

    async def create(self) -> int:
        """Make a container for L{VM}, and return its pid."""
        return await self.runtime.create(self.bundle, self.lower)

    async def start(self) -> None:
        """Let the container run."""
        await self.runtime.start(self.bundle)

    async def delete(self) -> None:
        """Remove the container."""
        await self.runtime.delete(self.bundle)

    async def execute(self, *argv: str) -> Any:
        """Run a command in the container."""
        return await self.runtime.execute(self.bundle, argv, 30)

    def find_process(self) -> IFirstProcess | None:
        """Take hold of the container's first process; the test lets go of it."""
        process = self.runtime.find_process(self.bundle)
        if process is not None:
            self.addCleanup(process.close)
        return process

    async def connect(self, address: str = "10.99.0.2") -> None:
        """Connect L{VM} to its network."""
        await self.networker.connect(VM, self.namespace, nics(address))

    async def guard(self, address: str = "10.99.0.2") -> bool:
        """Have L{VM} send from its own address alone."""
        return await self.networker.guard(VM, nics(address))


def nics(address: str) -> Sequence[Nic]:
    """Plan the interface of a VM with one address."""
    lease = Lease(address=IPv4Address(address), subnet=SUBNET)
    return plan({"net": lease}, {"net": {}})
