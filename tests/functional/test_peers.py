"""VMs of two hosts reach each other, by routes where these do and by an overlay else."""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from runc_cpi.daemon.networks.peers import peer_hardware_address
from runc_cpi.errors import CPIError
from tests.harness import steps
from tests.harness.cpi import CPI
from tests.harness.daemon import Daemon, manual, vm_arguments
from tests.harness.hosts import HERE, UPLINK, Host, apart, in_one_network
from tests.harness.lab import NewDaemon
from tests.harness.netns import links
from tests.harness.vm import VM
from tests.harness.world import (
    IMPATIENCE,
    PATIENCE,
    ask,
    is_silent,
    new_namespace,
    new_socket,
    serving,
)

PORT = 80
HEADERS = 28  # bytes, of IPv4 and UDP
IP_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 2  # linux/in.h
BULK = 1 << 20  # bytes
CABLE, AROUND = 1500, 50  # bytes: what a cable takes, and what VXLAN puts around a packet
VXLAN = struct.Struct("!B3xI")  # RFC 7348


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The pid of a process in the network namespace of another host."""
    with new_namespace() as pid:
        run(pid, "ip", "link", "set", "lo", "up")
        yield pid


@pytest.fixture
def neighbour(leaves_nothing: None, elsewhere: int) -> Iterator[Host]:
    """Another host, in the network of this one."""
    with in_one_network(elsewhere) as host, unchanged(host):
        yield host


@pytest.fixture
def far(leaves_nothing: None, elsewhere: int) -> Iterator[Host]:
    """Another host, beyond a router."""
    with apart(elsewhere) as host, unchanged(host):
        yield host


def run(pid: int, *argv: str) -> str:
    """Run a command in the network namespace of a process."""
    there = ["nsenter", f"--net=/proc/{pid}/ns/net", *argv]
    return subprocess.run(there, capture_output=True, text=True, check=True).stdout


def state(pid: int) -> list[str]:
    """Return the rules, interfaces and routes of the host that a process is on."""
    return [
        run(pid, *argv.split())
        for argv in (
            "nft --stateless list ruleset",
            "cut --delimiter=: --fields=1 /proc/net/dev",
            "ip route",
            "cat /proc/sys/net/ipv4/ip_forward",
        )
    ]


def routes() -> str:
    """Return the routes of this host, as ip prints them."""
    return run(os.getpid(), "ip", "route")


@contextmanager
def unchanged(host: Host) -> Iterator[None]:
    """Check that both hosts are in the end as they were, but for bridges of daemons."""
    pids = os.getpid(), host.pid
    before = [state(pid) for pid in pids]
    yield
    assert [state(pid) for pid in pids] == before


class Pair:
    """
    A daemon on each of two hosts, for one director.

    @ivar here: that of this host.
    @ivar there: that of the other.
    """

    def __init__(self, new_daemon: NewDaemon, host: Host, overlay: object) -> None:
        self.host = host
        config = {"overlay": overlay, "repair_interval": 86400}
        self.here = new_daemon(config=config)
        self.there = new_daemon(config=config, within=host.within)
        self.here.config["peers"] = [peer(self.there, host.address)]
        self.there.config["peers"] = [peer(self.here, HERE)]
        for daemon in (self.here, self.there):
            daemon.write_config()
            daemon.start()
        # The director has the CPI of this host, and an entry for the other in a cpi-config.
        self.there.cpi = CPI(self.here.home / "cpi.json")
        entry = {"network_type": "unix", "address": str(self.there.socket)}
        self.there.cpi.properties = entry

    def create_vms(self, image: Path) -> tuple[VM, VM]:
        """Make a VM on each host."""
        ours, theirs = (
            daemon.create_vm(daemon.create_stemcell(image))
            for daemon in (self.here, self.there)
        )
        return ours, theirs

    def stop(self) -> None:
        """Delete all VMs, and stop."""
        for daemon in (self.here, self.there):
            daemon.tear_down()


def peer(daemon: Daemon, address: str) -> dict[str, object]:
    """Return what another host's configuration says of a daemon."""
    return {"address": address, "cidr": daemon.config["cidr"]}


def overlay() -> str:
    """Name the interface of this host's overlay."""
    (name,) = (name for name in links() if name.startswith("vxlan-"))
    return name


def repair(daemon: Daemon) -> None:
    """Have a daemon repair what somebody else broke."""
    with daemon.connection() as client:
        client.call("Repair")


def reach_each_other(one: VM, other: VM) -> bool:
    """Say whether each of two VMs reaches the other, which sees its own address."""
    return all(
        answer(here, there) == f"word {here.address}"
        for here, there in ((one, other), (other, one))
    )


def answer(here: VM, there: VM) -> str:
    """Return what one VM is answered by another, or nothing."""
    with serving(there.pid, PORT, "word"):
        return ask(here.pid, there.address, PORT)


def is_cut_off(here: VM, there: VM) -> bool:
    """Say whether one VM does not reach the other."""
    with serving(there.pid, PORT, "word"):
        return is_silent(here.pid, there.address, PORT)


def test_routes(new_daemon: NewDaemon, neighbour: Host, tiny: Path) -> None:
    """Routes lead to VMs of a neighbour, and go with the configuration and the last VM."""
    pair = Pair(new_daemon, neighbour, "none")
    ours, theirs = pair.create_vms(tiny)
    assert reach_each_other(ours, theirs)
    # The host itself has an address that peers know.
    with serving(theirs.pid, PORT, "word"):
        gateway = f"{pair.here.network}1"
        assert ask(os.getpid(), theirs.address, PORT) == f"word {gateway}"
    way = ["ip", "route", "del", str(pair.there.config["cidr"])]
    subprocess.run(way, check=True)
    assert is_cut_off(ours, theirs)
    repair(pair.here)
    assert reach_each_other(ours, theirs)
    peers = pair.here.config.pop("peers")
    pair.here.write_config()
    pair.here.stop()
    assert reach_each_other(ours, theirs)
    pair.here.start()
    assert str(pair.there.config["cidr"]) not in routes()
    pair.here.config["peers"] = peers
    pair.here.write_config()
    pair.here.kill()
    pair.here.recover()
    assert reach_each_other(ours, theirs)
    isolate(pair.here)
    assert is_cut_off(ours, theirs)
    assert is_cut_off(theirs, ours)
    pair.stop()


def isolate(daemon: Daemon) -> None:
    """Keep the VMs of a daemon apart from others."""
    own = {key: daemon.config.pop(key) for key in ("cidr", "bridge")}
    daemon.config["networks"] = [{"name": "default", "isolated": True, **own}]
    daemon.write_config()
    daemon.stop()
    daemon.start()


def test_overlay(new_daemon: NewDaemon, far: Host, tiny: Path) -> None:
    """
    An overlay carries what VMs send each other past a router that does not know them, in
    packets that fit; it is put back whatever is missing of it.
    """
    pair = Pair(new_daemon, far, "vxlan")
    ours, theirs = pair.create_vms(tiny)
    assert reach_each_other(ours, theirs)
    assert carries(ours, theirs, CABLE - AROUND)
    with serving(theirs.pid, PORT, "word"):
        assert ask(os.getpid(), theirs.address, PORT) == f"word {pair.here.network}1"
    assert is_silent(far.router or 0, theirs.address, PORT)
    name = overlay()
    for what in (
        f"ip link del {name}",
        f"ip link set {name} down",
        f"ip neigh del {far.address} dev {name}",
        f"bridge fdb del {hardware_address(far.address)} dev {name} dst {far.address}",
        f"ip route del {pair.there.config['cidr']}",
    ):
        subprocess.run(what.split(), check=True)
        assert is_cut_off(ours, theirs), what
        repair(pair.here)
        assert reach_each_other(ours, theirs), what
    assert pair.here.log.count("put back the ways to peers") == 5
    pair.here.kill()
    assert reach_each_other(ours, theirs)
    pair.here.recover()
    assert reach_each_other(ours, theirs)
    assert pair.here.log.count("put back the ways to peers") == 5
    pair.stop()
    assert "do not reach" not in pair.here.log + pair.there.log


def test_peers_that_are_not_there(new_daemon: NewDaemon, far: Host, tiny: Path) -> None:
    """A peer that is down holds up nobody; it is reached as soon as it is back."""
    pair = Pair(new_daemon, far, "vxlan")
    pair.there.stop()
    vm = pair.here.create_vm(pair.here.create_stemcell(tiny))
    subprocess.run(["ip", "link", "set", UPLINK, "down"], check=True)
    other = pair.here.create_vm(pair.here.create_stemcell(tiny))
    assert reach_each_other(vm, other)
    repair(pair.here)
    assert "overlay: this host has no route to any of its peers" in pair.here.log
    subprocess.run(["ip", "link", "set", UPLINK, "up"], check=True)
    way = "ip route add default via 192.0.2.1 proto static"
    subprocess.run(way.split(), check=True)
    repair(pair.here)
    pair.there.start()
    theirs = pair.there.create_vm(pair.there.create_stemcell(tiny))
    assert reach_each_other(vm, theirs)
    assert reach_each_other(other, theirs)
    pair.stop()


def test_deaths(new_daemon: NewDaemon, far: Host, tiny: Path) -> None:
    """The daemon may die at each step of making or removing an overlay."""
    pair = Pair(new_daemon, far, "vxlan")
    ours, theirs = pair.create_vms(tiny)
    pair.here.stop()
    pair.here.launcher = steps.LAUNCHER
    pair.here.start()
    for step in ("link add", "link set", "neigh replace", "fdb append", "route replace"):
        subprocess.run(["ip", "link", "del", overlay()], check=True)
        dies_before(step, pair.here, repair)
        assert reach_each_other(ours, theirs), step
    dies_before("route del", pair.here, delete_all)
    pair.stop()


def dies_before(step: str, daemon: Daemon, work: Callable[[Daemon], object]) -> None:
    """
    Let a daemon die in some work, and start it again.

    @param step: the name of the step: see L{steps}.
    """
    (daemon.home / steps.ARM).write_text(step)
    with pytest.raises((CPIError, AssertionError)):
        work(daemon)
    assert daemon.process is not None
    daemon.process.wait(PATIENCE)
    daemon.recover()


def delete_all(daemon: Daemon) -> None:
    """Delete all VMs of a daemon."""
    for vm_cid in daemon.vm_cids():
        daemon.cpi.ok("delete_vm", vm_cid)


def test_strangers(new_daemon: NewDaemon, far: Host, tiny: Path) -> None:
    """Only peers get in, with addresses of their VMs; what else comes is counted."""
    settings = {"kind": "vxlan", "id": 77, "port": 4790}
    pair = Pair(new_daemon, far, settings)
    pair.stop()
    pair.here.config["overlay"] = {**settings, "address": HERE}
    pair.here.write_config()
    pair.here.start()
    vm = pair.here.create_vm(pair.here.create_stemcell(tiny))
    known, unknown = f"{pair.there.network}9", "10.99.0.9"
    assert far.router is not None
    with new_socket(vm.pid, "udp") as server:
        server.bind((vm.address, PORT))
        server.settimeout(IMPATIENCE)
        for pid, source, is_let_in in (
            (far.pid, known, True),
            (far.pid, unknown, False),
            (far.pid, vm.address, False),
            (far.router, known, False),
        ):
            with new_socket(pid, "udp") as sender:
                sender.sendto(packed(source, vm.address), (HERE, 4790))
            try:
                assert server.recvfrom(BULK) == (b"!", (source, PORT)), source
                assert is_let_in, source
            except TimeoutError:
                assert not is_let_in, source
    repair(pair.here)
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    repair(pair.here)
    assert "put back the rules of forwarding" in pair.here.log
    assert "the overlay has dropped 3 packets that were not of peers" in pair.here.log
    pair.stop()


def test_other_networks(new_daemon: NewDaemon, neighbour: Host, tiny: Path) -> None:
    """
    No network of this host is one of a peer: neither one that VMs describe, nor one that
    the host has by itself.
    """
    taken = ["ip", "route", "add", "10.99.0.0/24", "via", neighbour.address]
    subprocess.run(taken, check=True)
    peers = [{"address": neighbour.address, "cidr": ["10.99.0.0/16", "10.98.0.0/16"]}]
    daemon = new_daemon(config={"peers": peers}).start()
    stemcell = daemon.create_stemcell(tiny)
    networks = {"a": manual("10.98.7.2")}
    error = daemon.cpi.error("create_vm", *vm_arguments(stemcell, networks))
    assert (
        "networks.a: 10.98.7.0/24 overlaps with 10.98.0.0/16, a network of the peer "
        f"{neighbour.address}"
    ) in error["message"]
    vm = daemon.create_vm(stemcell)
    assert (
        "10.99.0.0/16 of the peer 192.0.2.3 overlaps with 10.99.0.0/24, a route by uplink "
        "of this host"
    ) in daemon.log
    assert "10.98.0.0/16 via 192.0.2.3" in routes()
    daemon.cpi.ok("delete_vm", vm.cid)
    subprocess.run(["ip", "route", "del", "10.99.0.0/24"], check=True)
    daemon.stop()
    daemon.config["peers"] = [{"address": HERE, "cidr": "10.98.0.0/16"}]
    daemon.write_config()
    assert daemon.refusal().endswith(
        "peers[0].address: 192.0.2.2 is this host's own; it must be that of another"
    )


def carries(one: VM, other: VM, size: int) -> bool:
    """
    Say whether packets from one VM to another can be as large as that, and no larger.

    @param size: in bytes, with the headers of IPv4 and UDP.
    """
    content = bytes(size - HEADERS)
    with new_socket(other.pid, "udp") as server, new_socket(one.pid, "udp") as client:
        server.bind((other.address, PORT))
        server.settimeout(PATIENCE)
        client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        client.connect((other.address, PORT))
        client.send(content)
        assert server.recv(BULK) == content
        try:
            client.send(content + b"!")
        except OSError as error:
            return error.errno == errno.EMSGSIZE
    return False


def packed(source: str, destination: str) -> bytes:
    """Return a datagram of one byte as VXLAN carries it to this host."""
    udp = struct.pack("!HHHH", PORT, PORT, 9, 0) + b"!"
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    length = 20 + len(udp)
    header = struct.pack("!BBHHHBBH", 0x45, 0, length, 0, 0, 64, socket.IPPROTO_UDP, 0)
    words = struct.unpack("!10H", header + addresses)
    total = sum(words)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    header = header[:10] + struct.pack("!H", checksum) + addresses
    hardware = bytes.fromhex(hardware_address(HERE).replace(":", ""))
    ethernet = hardware + bytes.fromhex("027600000001") + b"\x08\x00"
    return VXLAN.pack(0x08, 77 << 8) + ethernet + header + udp


def hardware_address(address: str) -> str:
    """Return the hardware address of a host's interface to the overlay."""
    return peer_hardware_address(IPv4Address(address))
