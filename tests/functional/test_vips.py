"""Vip networks: an address of the host leads to a VM, as long as the VM has it."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from runc_cpi.daemon.host.namespaces import CLONE_NEWNET, inside
from runc_cpi.daemon.host.network import vip_addresses
from tests.harness import leaks
from tests.harness.daemon import Daemon, manual, vm_arguments
from tests.harness.host import reboot_host
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM
from tests.harness.world import (
    HOST,
    IMPATIENCE,
    PATIENCE,
    UPLINK,
    WORLD,
    ask,
    is_silent,
    new_socket,
    serving,
    world,
)

HERE = os.getpid()
VIP, OTHER_VIP = "192.0.2.77", "192.0.2.78"
ECHO_REQUEST, ECHO_REPLY = 8, 0
EXPERIMENT = 253  # a protocol without ports (RFC 3692)


@pytest.fixture
def beyond(leaves_nothing: None) -> Iterator[int]:
    """A machine beyond the host, which answers."""
    with world() as pid, serving(pid, 80, "world"):
        yield pid


@pytest.fixture
def daemon(new_daemon: NewDaemon) -> Daemon:
    """A daemon with addresses for VMs: some beyond its networks, and one within."""
    return started(new_daemon)


def started(new_daemon: NewDaemon, **config: Any) -> Daemon:
    """Start a daemon with addresses for VMs."""
    daemon = new_daemon(config={"vip_addresses": [f"{VIP}-{OTHER_VIP}"], **config})
    network = {"name": "default", "cidr": daemon.config.pop("cidr")}
    network["bridge"] = daemon.config.pop("bridge")
    daemon.config["networks"] = [{**network, "reserved": [within(daemon)]}]
    daemon.write_config()
    # The harness looks for it here.
    daemon.config["bridge"] = network["bridge"]
    return daemon.start()


def within(daemon: Daemon) -> str:
    """Return the address of its network that is reserved."""
    return daemon.network + "9"


@pytest.fixture
def stemcell(daemon: Daemon, tiny: Path) -> str:
    """A stemcell that boots at once."""
    return daemon.create_stemcell(tiny)


def networks(*vips: str) -> dict[str, Any]:
    """Return the networks of a VM with these addresses of the host."""
    public = {f"public{n}": {"type": "vip", "ip": vip} for n, vip in enumerate(vips)}
    return {"default": {"type": "dynamic", "cloud_properties": {}}, **public}


def having(daemon: Daemon, stemcell: str, *vips: str) -> VM:
    """Make a VM with these addresses of the host."""
    return daemon.create_vm(stemcell, networks(*vips))


def refused(daemon: Daemon, stemcell: str, *vips: str, ports: Sequence[Any] = ()) -> str:
    """Return why a VM is refused; nothing is left of it."""
    before = daemon.vm_cids()
    arguments = vm_arguments(
        stemcell, networks(*vips), cloud_properties={"ports": list(ports)}
    )
    error = daemon.cpi.error("create_vm", *arguments)
    assert daemon.vm_cids() == before
    assert error["type"] == "Bosh::Clouds::CloudError"
    return str(error["message"])


def state() -> tuple[str, str, str]:
    """Return the rules, the addresses and the setting of the host that VMs change."""
    commands = (["nft", "--stateless", "list", "ruleset"], ["ip", "-4", "-o", "addr"])
    found = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for command in commands
    ]
    return found[0], found[1], Path("/proc/sys/net/ipv4/ip_forward").read_text()


def pings(pid: int, address: str) -> bool:
    """Say whether an address answers to a ping from a network namespace."""
    with inside(pid, CLONE_NEWNET):
        pinger = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with pinger:
        pinger.settimeout(PATIENCE)
        pinger.connect((address, 0))
        head = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, 1, 1)
        checksum = ~sum(struct.unpack("!4H", head)) & 0xFFFF
        pinger.send(head[:2] + struct.pack("!H", checksum) + head[4:])
        with suppress(TimeoutError):
            while True:
                if pinger.recv(1024)[20] == ECHO_REPLY:
                    return True
    return False


def carries(pid: int, address: str, receiver: int) -> bool:
    """Say whether a packet of a protocol without ports gets to a network namespace."""
    sockets = []
    for each in (receiver, pid):
        with inside(each, CLONE_NEWNET):
            sockets.append(socket.socket(socket.AF_INET, socket.SOCK_RAW, EXPERIMENT))
    with sockets[0] as ear, sockets[1] as mouth:
        ear.settimeout(PATIENCE)
        mouth.sendto(b"hello", (address, 0))
        with suppress(TimeoutError):
            return ear.recv(1024).endswith(b"hello")
    return False


@pytest.mark.usefixtures("bridged")
def test_who_reaches_a_vip(beyond: int, daemon: Daemon, stemcell: str) -> None:
    """
    A VM's vips are reached from beyond, from the host, from another VM and from the VM
    itself, by all protocols; once the VM is deleted, all is as it was.
    """
    before = state()
    vm = having(daemon, stemcell, VIP, within(daemon))
    other = daemon.create_vm(stemcell)
    assert vm.networks["public0"] == {"type": "vip", "ip": VIP}
    gateway = daemon.network + "1"
    with serving(vm.pid, 80, "vm"), serving(vm.pid, 514, "vm", "udp"):
        assert ask(beyond, VIP, 80) == f"vm {WORLD}"
        assert ask(beyond, VIP, 514, "udp") == f"vm {WORLD}"
        for vip in (VIP, within(daemon)):
            assert ask(HERE, vip, 80) == f"vm {vip}"
            # The host translates the first, unless it looks at what it bridges as well.
            assert ask(other.pid, vip, 80) in (f"vm {gateway}", f"vm {other.address}")
            assert ask(vm.pid, vip, 80) == f"vm {gateway}"
            assert ask(other.pid, vip, 514, "udp").startswith("vm ")
        assert is_silent(beyond, HOST, 80)
        with serving(HERE, 80, "host", address=HOST):
            assert ask(beyond, HOST, 80) == f"host {WORLD}"
    for pid in (beyond, HERE, other.pid):
        assert pings(pid, VIP)
        assert carries(pid, VIP, vm.pid)
    assert ask(vm.pid, WORLD, 80) == f"world {VIP}"
    assert ask(other.pid, WORLD, 80) == f"world {HOST}"
    daemon.cpi.ok("delete_vm", vm.cid)
    with serving(other.pid, 80, "other"):
        for pid, vip in ((beyond, VIP), (HERE, VIP), (other.pid, within(daemon))):
            assert is_silent(pid, vip, 80)
    daemon.cpi.ok("delete_vm", other.cid)
    assert state() == before


def test_within_alone(beyond: int, daemon: Daemon, stemcell: str) -> None:
    """Others know no way back to an address of VMs, so it is not the VM's way out."""
    vm = having(daemon, stemcell, within(daemon))
    assert ask(vm.pid, WORLD, 80) == f"world {HOST}"


def test_an_address_that_the_host_has(beyond: int, daemon: Daemon, stemcell: str) -> None:
    """An address that somebody else gave the host is a VM's meanwhile, and stays."""
    command = [f"{VIP}/24", "dev", UPLINK]
    subprocess.run(["ip", "addr", "add", *command], check=True)
    before = state()
    vm = having(daemon, stemcell, VIP)
    with serving(HERE, 80, "host", address=VIP), serving(vm.pid, 80, "vm"):
        assert ask(beyond, VIP, 80) == f"vm {WORLD}"
        daemon.cpi.ok("delete_vm", vm.cid)
        assert ask(beyond, VIP, 80) == f"host {WORLD}"
    assert state() == before
    ports = {"ports": [f"{VIP}:80:80"]}
    publisher = daemon.create_vm(stemcell, cloud_properties=ports).cid
    message = refused(daemon, stemcell, VIP)
    assert f"vip {VIP}: port {VIP}:80/tcp is published by {publisher}" in message


def test_after_ends(beyond: int, daemon: Daemon, stemcell: str) -> None:
    """
    A VM has its vip while the daemon is down, after its restart, after a reboot of the
    host, and after a repair of what somebody took away.
    """
    vm = having(daemon, stemcell, VIP, within(daemon))

    def check() -> None:
        with serving(vm.pid, 80, "vm"):
            assert ask(beyond, VIP, 80) == f"vm {WORLD}"
            assert ask(HERE, within(daemon), 80) == f"vm {within(daemon)}"
        assert ask(vm.pid, WORLD, 80) == f"world {VIP}"

    daemon.kill()
    check()
    daemon.start()
    check()
    assert f"vip {VIP} is in use by {vm.cid}" in refused(daemon, stemcell, VIP)
    reboot_host(daemon)
    daemon.recover()
    check()
    subprocess.run(["ip", "addr", "del", f"{VIP}/32", "dev", "lo"], check=True)
    with daemon.connection() as client:
        client.call("Repair")
    check()


def test_what_a_crash_leaves(beyond: int, daemon: Daemon, stemcell: str) -> None:
    """A start takes from the host the addresses that no VM has any more."""
    before = state()
    vm = having(daemon, stemcell, VIP)
    with IPRoute() as ip:
        label = vip_addresses.label_of(daemon.cgroup)
        ip.addr("add", index=1, address=OTHER_VIP, prefixlen=32, label=label)
    daemon.kill()
    daemon.start()
    assert leaks.vips() == {VIP: label}
    daemon.cpi.ok("delete_vm", vm.cid)
    assert state() == before


def test_who_sends_all_the_time(beyond: int, daemon: Daemon, stemcell: str) -> None:
    """
    A sender of datagrams who never pauses reaches the VM that has a vip now, and nobody
    while none has it.
    """
    with new_socket(beyond, "udp") as sender:
        sender.connect((VIP, 514))

        def answer(patience: float = PATIENCE) -> str:
            sender.settimeout(patience)
            with suppress(OSError):
                sender.send(b"?")
                return sender.recv(100).decode()
            return ""

        first = having(daemon, stemcell, VIP)
        with serving(first.pid, 514, "first", "udp"):
            assert answer() == f"first {WORLD}"
        daemon.cpi.ok("delete_vm", first.cid)
        stranger = daemon.create_vm(stemcell)
        assert stranger.address == first.address
        with serving(stranger.pid, 514, "stranger", "udp"):
            assert answer(IMPATIENCE) == ""
            second = having(daemon, stemcell, VIP)
            with serving(second.pid, 514, "second", "udp"):
                assert answer() == f"second {WORLD}"


def test_who_answers_all_the_time(beyond: int, daemon: Daemon, stemcell: str) -> None:
    """What left by a vip comes back to the VM, and to nobody who has its place."""

    def told(vm: VM) -> str:
        with new_socket(vm.pid, "udp") as client:
            client.bind(("", 5000))
            client.settimeout(PATIENCE)
            client.connect((WORLD, 514))
            client.send(b"?")
            return client.recv(100).decode()

    with serving(beyond, 514, "world", "udp"):
        first = having(daemon, stemcell, VIP)
        assert told(first) == f"world {VIP}"
        daemon.cpi.ok("delete_vm", first.cid)
        second = daemon.create_vm(stemcell)
        assert second.address == first.address
        assert told(second) == f"world {HOST}"


def test_a_network_with_a_vip_in_it(new_daemon: NewDaemon, tiny: Path) -> None:
    """A network that VMs describe cannot have addresses that VMs may get as vips."""
    daemon = started(new_daemon, allowed_networks=["192.0.2.0/24"])
    stemcell = daemon.create_stemcell(tiny)
    network = manual("192.0.2.70", netmask="255.255.255.0", gateway="192.0.2.65")
    error = daemon.cpi.error("create_vm", *vm_arguments(stemcell, {"net": network}))
    assert f"overlaps with {VIP}-{OTHER_VIP} of vip_addresses" in error["message"]


def test_refusals(daemon: Daemon, stemcell: str) -> None:
    """An error names who has what is asked for, or what to configure."""
    vm = having(daemon, stemcell, VIP)
    assert f"vip {VIP} is in use by {vm.cid}" in refused(daemon, stemcell, VIP)
    for vip, reason in (
        (
            "192.0.2.1",
            f"is none of vip_addresses of the daemon, which is {VIP}-{OTHER_VIP}",
        ),
        (daemon.network + "1", "is the gateway address of"),
        (daemon.network + "10", f"is in {daemon.network}0/24, a network of VMs; only what"),
    ):
        assert f"vip {vip} {reason}" in refused(daemon, stemcell, vip)
    message = refused(daemon, stemcell, ports=[f"{VIP}:80:80"])
    assert f"port {VIP}:80/tcp: {VIP} is the vip of {vm.cid}" in message


def test_vips_of_another_daemon(new_daemon: NewDaemon, tiny: Path) -> None:
    """An address that a VM of another daemon has is refused, until it is free."""
    first, second = started(new_daemon), started(new_daemon)
    stemcells = [daemon.create_stemcell(tiny) for daemon in (first, second)]
    vm = having(first, stemcells[0], VIP)
    owner = "another runc-cpid of this host (nft list table inet "
    assert f"vip {VIP} is in use by {owner}" in refused(second, stemcells[1], VIP)
    message = refused(second, stemcells[1], ports=[f"{VIP}:80:80"])
    assert f"port {VIP}:80/tcp: {VIP} is a vip of {owner}" in message
    having(second, stemcells[1], OTHER_VIP)
    first.cpi.ok("delete_vm", vm.cid)
    having(second, stemcells[1], VIP)
