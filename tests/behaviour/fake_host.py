"""A host that is made up: what unit tests run on."""

from __future__ import annotations

import os
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from runc_cpi.daemon.networks.claims import Claims
from runc_cpi.daemon.networks.rules import Ruleset
from tests.behaviour.case import HostCase
from tests.fakes.disks import FakeDriver
from tests.fakes.entrance import OWN_ADDRESS, OWN_PORT, PORT, FakeSockets
from tests.fakes.networks import (
    FakeFirewall,
    FakeHostPorts,
    FakeNameService,
    FakeNetworker,
)
from tests.fakes.script import Script
from tests.fakes.stemcells import DIGEST, FakeArchiver, FakeImages
from tests.fakes.storage import FakeTrees
from tests.fakes.vms import (
    USAGE,
    FakeGuests,
    FakeMeter,
    FakeOOMKiller,
    FakeRootDisks,
    FakeRuntime,
)


class FakeHost(HostCase):
    """A new made-up host for each test."""

    guests: FakeGuests
    oom_killer: FakeOOMKiller
    meter: FakeMeter
    firewall: FakeFirewall
    host_ports: FakeHostPorts

    async def setUp(self) -> None:
        script = Script()
        self.directory = Path(os.path.abspath(self.mktemp()))
        self.directory.mkdir()
        self.runtime, self.guests = FakeRuntime(script), FakeGuests(script)
        self.networker, self.driver = FakeNetworker(script), FakeDriver(script)
        self.meter = FakeMeter()
        self.names, self.oom_killer = FakeNameService(), FakeOOMKiller()
        self.firewall, self.host_ports = FakeFirewall(script), FakeHostPorts()
        self.archiver, self.images = FakeArchiver(script), FakeImages(script)
        self.trees, self.root_disks = FakeTrees(script), FakeRootDisks(script)
        self.sockets, self.uid, self.connection = FakeSockets(1000), 1000, object()
        self.own_address = IPv4Address("192.0.2.1")
        here = IPv4Address(OWN_ADDRESS)
        self.ends = here, PORT, here, OWN_PORT
        self.lower, self.namespace = self.directory / "lower", 4242
        self.image = Path(os.devnull)
        self.reference, self.digest = "docker://image", DIGEST

    def make_bundle(self, parts: Any = None) -> None:
        """Make the directory."""
        self.bundle.path.mkdir(exist_ok=True)
        self.meter.usages[self.state().cgroup] = USAGE

    async def fill_memory(self) -> None:
        """Say so."""
        self.oom_killer.kill(self.state().cgroup)

    def take_rules_away(self) -> None:
        """Say so."""
        self.firewall.missing = True

    async def apply_elsewhere(self, ruleset: Ruleset) -> None:
        """Say so."""
        claims = Claims(
            owner="another runc-cpid",
            redirections=ruleset.redirections,
            vips=frozenset(vip.address for vip in ruleset.vips),
        )
        self.firewall.others = [claims] if ruleset.is_needed else []

    def take_a_port(self) -> int:
        """Say so."""
        self.host_ports.taken = PORT
        return PORT

    def content_of(self, name: str) -> str:
        """Return what was written."""
        return self.guests.written[name]
