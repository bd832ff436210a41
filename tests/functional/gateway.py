"""A gateway that answers DNS queries, and a process that asks it as a VM does."""

from __future__ import annotations

import socket
import subprocess
from contextlib import ExitStack
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyroute2 import IPRoute
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.host.dns.name_service import NameService
from runc_cpi.daemon.host.network import links
from runc_cpi.daemon.host.network.bridges import Bridges
from runc_cpi.daemon.networks.model import Subnet
from tests.harness.names import (
    NameServer,
    ask,
    socket_of,
)

BRIDGE, GATEWAY = "dnsbr", "10.98.0.1"
SUBNET = Subnet(
    cidr=IPv4Network("10.98.0.0/24"), gateway=IPv4Address(GATEWAY), bridge=BRIDGE, dns=()
)
OTHER_BRIDGE, OTHER_GATEWAY = "dnsbr2", "10.97.0.1"
OTHER = Subnet(
    cidr=IPv4Network("10.97.0.0/24"),
    gateway=IPv4Address(OTHER_GATEWAY),
    bridge=OTHER_BRIDGE,
    dns=(),
)
# Addresses of loopback, at which each test has name servers of its own.
FIRST, SECOND = "127.0.0.3", "127.0.0.4"
MANY = [f"192.0.2.{number}" for number in range(200)]
KNOWN = {"one.example": ["192.0.2.1"], "many.example": MANY}
A_MOMENT = 1.0  # seconds


def remove_link(name: str) -> None:
    """Remove an interface, unless it is gone."""
    links.remove(name)


class NameServiceCase(TestCase):
    """
    A gateway that answers, and a process that has an interface in its subnet.

    @ivar vm: the process.
    """

    timeout = 90  # seconds

    async def setUp(self) -> None:
        self.resources = ExitStack()
        self.addCleanup(self.resources.close)
        self.vm = self.make_network(SUBNET, "10.98.0.2")
        directory = self.resources.enter_context(TemporaryDirectory(prefix="cpi"))
        self.resolv_conf = Path(directory, "resolv.conf")
        self.tell_servers(FIRST, SECOND)
        self.names = NameService(reactor, enabled=True, resolv_conf=str(self.resolv_conf))
        self.addCleanup(self.names.stop)
        await self.names.serve([SUBNET])

    def make_network(self, subnet: Subnet, address: str) -> int:
        """Make the bridge of a subnet, and return a process that has an address on it."""
        bridge = subnet.bridge
        Bridges("test of names", configured=()).ensure(subnet.bridge, [subnet])
        self.addCleanup(remove_link, bridge)
        process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo; exec sleep 1000000"],
            stdout=subprocess.PIPE,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        with process.stdout:
            process.stdout.readline()
        with IPRoute() as ip:
            peer = {"ifname": "eth0", "net_ns_pid": process.pid}
            ip.link("add", ifname=f"{bridge}v", kind="veth", peer=peer)
            (end,), (master,) = (
                ip.link_lookup(ifname=name) for name in (f"{bridge}v", bridge)
            )
            ip.link("set", index=end, master=master, state="up")
        script = f"""
            ip address add {address}/{subnet.cidr.prefixlen} dev eth0
            ip link set eth0 up; ip link set lo up
            ip route add default via {subnet.gateway}"""
        enter = ["nsenter", f"--target={process.pid}", "--net", "sh", "-ec", script]
        subprocess.run(enter, check=True)
        return process.pid

    def tell_servers(self, *servers: str) -> None:
        """Have the host's resolv.conf replaced."""
        new = self.resolv_conf.with_suffix(".new")
        new.write_text("".join(f"nameserver {server}\n" for server in servers))
        new.rename(self.resolv_conf)

    def name_server(
        self, address: str = FIRST, known: Any = None, *, tcp: bool = True
    ) -> NameServer:
        """Run a name server of the host's."""
        server = NameServer(KNOWN if known is None else known)
        return self.resources.enter_context(server.serving(address, tcp=tcp))

    def silent_server(self, address: str = FIRST) -> socket.socket:
        """Return a name server that reads questions for the test, and answers none."""
        silent = socket_of(None, socket.SOCK_DGRAM)
        self.addCleanup(silent.close)
        silent.bind((address, 53))
        return silent

    async def ask(self, name: str, **how: Any) -> Any:
        """Ask the gateway, as a VM unless it is told otherwise."""
        how.setdefault("pid", self.vm)
        return await deferToThread(partial(ask, GATEWAY, name, **how))
