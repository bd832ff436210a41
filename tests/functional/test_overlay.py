"""VMs of two hosts reach each other by an overlay, past a router between them."""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from runc_cpi.daemon.networks.peers import peer_hardware_address
from runc_cpi.errors import CPIError
from tests.functional.two_hosts import (
    PORT,
    Pair,
    is_cut_off,
    reach_each_other,
    repair,
)
from tests.harness import steps
from tests.harness.daemon import Daemon
from tests.harness.hosts import HERE, UPLINK, Host
from tests.harness.lab import NewDaemon
from tests.harness.netns import links
from tests.harness.vm import VM
from tests.harness.world import (
    IMPATIENCE,
    PATIENCE,
    ask,
    is_silent,
    new_socket,
    serving,
)

HEADERS = 28  # bytes, of IPv4 and UDP
IP_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 2  # linux/in.h
BULK = 1 << 20  # bytes
CABLE, AROUND = 1500, 50  # bytes: what a cable takes, and what VXLAN puts around a packet
VXLAN = struct.Struct("!B3xI")  # RFC 7348


def overlay() -> str:
    """Name the interface of this host's overlay."""
    (name,) = (name for name in links() if name.startswith("vxlan-"))
    return name


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
