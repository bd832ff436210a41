"""
C{python -m tests.benchmarks.occupied VMS MORE}: a host with so many VMs, in a namespace.

MORE is C{ports} if each VM publishes one, C{blocks} if each has a block of addresses, or
C{none}.  The VMs are all of them interfaces
in one network namespace; the host's side is real.  It says C{ready}, and then
answers each line of its input: C{vm} is the network's part of one more create_vm, C{raw}
are the same interfaces made by bare calls of pyroute2, C{port} is a pair whose end here
joins the bridge, and nothing else.  An answer has the milliseconds that passed, and those
of processor time of all threads.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any
from uuid import uuid4

from pyroute2 import IPRoute
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from runc_cpi.daemon.host.dns.name_service import NameService
from runc_cpi.daemon.host.namespaces import CLONE_NEWNET, inside
from runc_cpi.daemon.host.network import links, rtnetlink
from runc_cpi.daemon.host.network.bridges import Bridges
from runc_cpi.daemon.host.network.firewall import Firewall
from runc_cpi.daemon.host.network.listeners import HostPorts
from runc_cpi.daemon.host.network.networker import BridgeNetworker
from runc_cpi.daemon.host.network.table import name_of
from runc_cpi.daemon.host.network.vip_addresses import VipAddresses
from runc_cpi.daemon.host.processes import Processes
from runc_cpi.daemon.networks.address_pools import AddressPools
from runc_cpi.daemon.networks.blocks import routed_blocks
from runc_cpi.daemon.networks.forwarding import Forwarding
from runc_cpi.daemon.networks.model import Subnet
from runc_cpi.daemon.networks.networks import Networks
from runc_cpi.daemon.networks.peers import NO_PEERS
from runc_cpi.daemon.networks.vips import VipPolicy, Vips
from runc_cpi.daemon.networks.ways import WaysToBlocks, WaysToPeers
from runc_cpi.daemon.vms.creation import plan_vm
from runc_cpi.daemon.vms.new_vm import NewVM
from runc_cpi.daemon.vms.vm import VM
from tests.harness import netns
from tests.harness.world import new_namespace, world

SUBNET = Subnet(
    cidr=IPv4Network("10.99.0.0/16"),
    gateway=IPv4Address("10.99.0.1"),
    bridge="crowd",
    dns=("192.0.2.53",),
)
FIRST_PORT = 20000


class Stopwatch:
    """Takes the time from when it is made until it is read."""

    def __init__(self) -> None:
        self._begin = perf_counter(), process_time()

    def __str__(self) -> str:
        now = perf_counter(), process_time()
        pairs = zip(now, self._begin, strict=True)
        return " ".join(str((end - begin) * 1000) for end, begin in pairs)


class Host:
    """
    The parts of the daemon that are about networks, over the real drivers.

    @param more: what each VM has beside its address: C{ports}, C{blocks} or C{none}.
    """

    def __init__(self, reactor: Any, home: Path, more: str) -> None:
        self._more, self._made = more, 0
        self._bridges = Bridges(f"benchmark {os.getpid()}", configured=())
        self._networker = BridgeNetworker(reactor, self._bridges, guarded=True)
        mark = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        processes = Processes(reactor, 2, mark)
        self._firewall = Firewall(
            reactor,
            name_of(home),
            processes,
            self._bridges.names,
            VipAddresses(self._bridges.daemon),
        )
        pools = AddressPools([SUBNET])
        names = NameService(reactor, enabled=False)
        self._networks = Networks(pools, self._networker, names, [])
        self._forwarding = Forwarding(
            pools,
            self._firewall,
            HostPorts(),
            Vips(pools, VipPolicy()),
            WaysToPeers(self._networker, NO_PEERS),
            WaysToBlocks(self._networker),
        )

    async def start(self) -> None:
        """Do what a start of the daemon does."""
        self._networker.start()
        self._firewall.start()
        await self._networks.settle(afresh=True)

    def stop(self) -> None:
        """End the threads; the namespace goes with all that is in it."""
        self._networker.stop()
        self._firewall.stop()

    async def _plan(self) -> VM:
        self._made += 1
        port = FIRST_PORT + self._made
        block = {"type": "manual", "ip": str(SUBNET.cidr[16 * self._made]), "prefix": "28"}
        has_block = self._more == "blocks"
        new = NewVM.parse(
            agent_id="agent",
            stemcell_cid="stemcell",
            cloud_properties={"ports": [f"{port}:80"]} if self._more == "ports" else {},
            networks={"net": {"type": "dynamic"}} | ({"many": block} if has_block else {}),
            disk_cids=[],
            env={},
            agent={},
        )
        vm = await plan_vm(f"vm-{uuid4()}", new, self._networks)
        blocks = routed_blocks(vm.nics)
        await self._forwarding.admit(vm.vm_cid, vm.addresses, vm.ports, (), blocks)
        return vm

    async def _connect(self, vm: VM, pid: int) -> None:
        await self._networker.connect(vm.vm_cid, pid, vm.nics)
        await self._forwarding.connected(vm.vm_cid)

    async def settle_in(self, pid: int) -> None:
        """Add a VM that stays, beside others in one namespace."""
        vm = await self._plan()
        (nic,) = vm.nics
        nic = replace(nic, interface=f"eth{self._made}", routes=())
        await self._connect(replace(vm, nics=(nic,)), pid)

    async def measure(self) -> str:
        """Add a VM with a namespace of its own, which is measured; remove it."""
        with new_namespace() as pid:
            watch = Stopwatch()
            vm = await self._plan()
            await self._connect(vm, pid)
            took = str(watch)
            await self._forwarding.dismiss(vm.vm_cid)
            await self._networker.disconnect(vm.vm_cid)
            await self._networks.release(vm.vm_cid)
        return took


def raw() -> str:
    """Make a pair on no bridge, with an address and a route, which is measured."""
    with new_namespace() as pid:
        watch = Stopwatch()
        with IPRoute() as ip:
            peer = {"ifname": "eth0", "net_ns_pid": pid}
            ip.link("add", ifname="raw0", kind="veth", peer=peer)
            (outside,) = ip.link_lookup(ifname="raw0")
            ip.link("set", index=outside, state="up")
            with inside(pid, CLONE_NEWNET), IPRoute() as within:
                (index,) = within.link_lookup(ifname="eth0")
                within.addr("add", index=index, address="10.98.0.2", prefixlen=24)
                within.link("set", index=index, state="up")
                within.route("add", dst="0.0.0.0/0", gateway="10.98.0.1")
            took = str(watch)
            ip.link("del", index=outside)
    return took


def port() -> str:
    """Make a pair and have it join the bridge, which is measured: the kernel's work."""
    with new_namespace() as pid:
        watch = Stopwatch()
        rtnetlink.make_pair("raw0", "eth0", hardware="02:00:00:00:00:01", mtu=1500, pid=pid)
        index = links.index_of("raw0")
        rtnetlink.turn_on(index)
        rtnetlink.join(index, links.index_of(SUBNET.bridge))
        took = str(watch)
        rtnetlink.remove_link(index)
    return took


async def _serve(reactor: Any, vms: int, more: str) -> None:
    with ExitStack() as stack:
        stack.enter_context(world())
        home = Path(stack.enter_context(TemporaryDirectory(prefix="cpi")))
        crowd = stack.enter_context(new_namespace())
        host = Host(reactor, home, more)
        await host.start()
        stack.callback(host.stop)
        for _ in range(vms):
            await host.settle_in(crowd)
        print("ready", flush=True)
        while question := await deferToThread(sys.stdin.readline):
            bare = {"raw": raw, "port": port}.get(question.strip())
            took = bare() if bare is not None else await host.measure()
            print(took, flush=True)


def main() -> None:
    """Be that host."""
    vms, more = sys.argv[1:]
    netns.enter()
    react(lambda reactor: Deferred.fromCoroutine(_serve(reactor, int(vms), more)))


if __name__ == "__main__":
    main()
