"""This host, with its real drivers; that takes root, and a network namespace of its own."""

from __future__ import annotations

import functools
import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet import reactor

from runc_cpi.daemon.host.cgroups import hierarchies
from runc_cpi.daemon.host.cgroups.devices import device_rules
from runc_cpi.daemon.host.cgroups.oom_kills import oom_killer
from runc_cpi.daemon.host.disks.directory_disks import DirectoryDisks
from runc_cpi.daemon.host.disks.image_disks import ImageDisks
from runc_cpi.daemon.host.disks.loop import LoopDevices
from runc_cpi.daemon.host.disks.root_disks import RootDisks
from runc_cpi.daemon.host.dns.name_service import NameService
from runc_cpi.daemon.host.files.trees import Trees
from runc_cpi.daemon.host.guests.guests import Guests
from runc_cpi.daemon.host.images.archiver import Archiver
from runc_cpi.daemon.host.images.oci_images import OCIImages
from runc_cpi.daemon.host.meter import Meter
from runc_cpi.daemon.host.network import libnftables
from runc_cpi.daemon.host.network.bridges import Bridges
from runc_cpi.daemon.host.network.firewall import Firewall
from runc_cpi.daemon.host.network.listeners import HostPorts
from runc_cpi.daemon.host.network.networker import BridgeNetworker
from runc_cpi.daemon.host.network.sockets import KernelSockets
from runc_cpi.daemon.host.network.table import name_of, removal
from runc_cpi.daemon.host.network.vip_addresses import VipAddresses
from runc_cpi.daemon.host.oci.console_trimmer import ConsoleTrimmer
from runc_cpi.daemon.host.oci.runtime import Runtime
from runc_cpi.daemon.host.processes import Processes
from runc_cpi.daemon.host.resource_limits import open_files, swap_accounting
from runc_cpi.daemon.networks.rules import NO_RULES, Ruleset
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.ids import assign
from runc_cpi.daemon.vms.inits import Init
from runc_cpi.daemon.vms.spec.document import limits, runtime_spec
from tests.behaviour.case import CGROUP_PARENT, DAEMON, SUBNET, VM, HostCase
from tests.harness import images, oci

SLEEP = ("/bin/busybox", "sleep", "1000000")


@functools.cache
def busybox() -> bytes:
    """Return a busybox that needs no libraries."""
    return images.take_out(images.bootable("runit"), "./usr/bin/busybox")


class ThisHost(HostCase):
    """
    The drivers as the daemon has them, over a new directory for each test.

    @cvar own_ids: the first and the last of the ids of which L{VM} gets its own, if it is
        to have any.
    """

    own_ids: ClassVar[tuple[int, int] | None] = None

    async def setUp(self) -> None:
        assert os.geteuid() == 0, "these tests make real containers; run them as root"
        self.directory = Path(tempfile.mkdtemp(prefix="cpi"))
        self.addCleanup(shutil.rmtree, self.directory)
        depot = Depot(self.directory / "w")
        depot.prepare()
        self.addCleanup(depot.release)
        self.processes = processes = Processes(reactor, 2, depot.mark)
        self.addCleanup(hierarchies.remove_empty, CGROUP_PARENT)
        rules, guests = device_rules(), Guests(reactor, 30)
        self.guests, self.oom_killer = guests, oom_killer(reactor)
        self.meter = Meter()
        self.runtime = Runtime(
            reactor,
            processes,
            "runc",
            depot.runtime,
            CGROUP_PARENT,
            rules,
            ConsoleTrimmer(reactor, depot.vms),
            guests,
            timeout=60,
        )
        self.host_ports = HostPorts()
        self.archiver, self.images = Archiver(processes), OCIImages(processes)
        self.trees = Trees(processes)
        self.directory_driver = DirectoryDisks(processes, guests)
        loops = LoopDevices(reactor, direct_io=True)
        self.root_disks = RootDisks(processes, loops, guests, bounded=True)
        self.driver = ImageDisks(
            processes,
            loops,
            rules,
            guests,
            full=False,
            filesystem="ext4",
        )
        self._make_images()
        self.addCleanup(self._clear)

    async def _clear(self) -> None:
        """Take down whatever a test left."""
        await self.runtime.delete(self.bundle)
        await self.driver.halted(self.state())
        await self.driver.sweep(self.directory, [])
        # What is mounted in it goes as well.
        await self.trees.remove(self.bundle.path)

    def _make_images(self) -> None:
        root = images.tiny(busybox())
        self.image = self.directory / "image"
        self.image.write_bytes(gzip.compress(root, 1))
        self.lower = self.directory / "lower"
        self.lower.mkdir()
        subprocess.run(["tar", "-xf", self.image, "-C", self.lower], check=True)
        layout, image = self.directory / "layout", oci.Image([root])
        image.write_layout(layout)
        self.reference, self.digest = f"oci:{layout}:latest", image.digest

    def make_directory(self) -> None:
        """Make the directory of the VM, with its ids."""
        super().make_directory()
        if self.own_ids is not None and self.bundle.ids is None:
            assign(self.bundle.path, *self.own_ids)

    def make_bundle(self, parts: Any = None) -> None:
        """Make the directories of a VM, and its specification."""
        bundle = self.bundle
        self.make_directory()
        ids = bundle.ids
        for path in (bundle.upper, bundle.work, bundle.rootfs):
            path.mkdir()
            if path != bundle.rootfs:
                os.chown(path, bundle.root_id, bundle.root_id)
        resources = limits(
            cpu=None, ram=self.ram, pids=None, swap_accounting=swap_accounting()
        )
        spec = runtime_spec(
            hostname=VM,
            init=Init(argv=SLEEP),
            binds={},
            cgroup=f"{CGROUP_PARENT}/{VM}",
            capabilities=[],
            resources=resources,
            open_files=open_files(),
            ids=ids,
            root="rootfs" if ids is None else str(bundle.isolated_root),
            **({} if parts is None else {"disks": parts}),
        )
        bundle.config.write_text(json.dumps(spec), "utf-8")

    def content_of(self, name: str) -> str:
        """Read the file where the VM's own files are."""
        return (self.bundle.upper / name.lstrip("/")).read_text("utf-8")

    async def fill_memory(self) -> None:
        """Read a line without end."""
        outcome = await self.execute("/bin/busybox", "tail", "/dev/zero")
        assert outcome.status == 128 + signal.SIGKILL, outcome

    def make_connection(self) -> None:
        """Connect to ourselves."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            client = socket.create_connection(server.getsockname())
            self.addCleanup(client.close)
            self.connection, _ = server.accept()
            self.addCleanup(self.connection.close)
        (host, port), (own_host, own_port) = client.getsockname(), client.getpeername()
        self.ends = IPv4Address(host), port, IPv4Address(own_host), own_port
        self.sockets, self.uid = KernelSockets(), os.geteuid()
        self.own_address = IPv4Address("127.0.0.1")

    def make_network(self) -> None:
        """Make a bridge, and a process with a network namespace of its own."""
        bridges = Bridges(DAEMON, configured=())
        bridges.ensure(SUBNET.bridge, [SUBNET])
        networker = BridgeNetworker(reactor, bridges, guarded=True)
        networker.start()
        self.addCleanup(networker.stop)
        process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo; exec sleep 1000000"],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.networker, self.namespace = networker, process.pid

    def make_names(self) -> None:
        """Make what answers DNS at the bridge's address."""
        self.names = NameService(reactor, enabled=True)
        self.addCleanup(self.names.stop)

    def make_firewall(self) -> None:
        """Begin with the rules of forwarding, which the test may leave."""
        self.firewall = self.firewall_of(self.directory)

    def firewall_of(self, directory: Path) -> Firewall:
        """Make the rules of a daemon, which are gone in the end."""
        addresses = VipAddresses(f"behaviour {os.getpid()} {directory}")
        firewall = Firewall(reactor, name_of(directory), self.processes, set, addresses)
        firewall.start()
        self.addCleanup(firewall.stop)
        self.addCleanup(firewall.apply, NO_RULES)
        return firewall

    async def apply_elsewhere(self, ruleset: Ruleset) -> None:
        """Do what a daemon with another directory does."""
        await self.firewall_of(self.directory / "other").apply(ruleset)

    def take_rules_away(self) -> None:
        """Remove the table."""
        libnftables.run(removal(name_of(self.directory)))

    def take_a_port(self) -> int:
        """Listen ourselves, at a port whose neighbours are free."""
        server = socket.create_server(("0.0.0.0", 20001))
        self.addCleanup(server.close)
        return 20001
