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

from runc_cpi.daemon.host.namespaces import CLONE_NEWNET, inside
from tests.harness.daemon import Daemon, vm_arguments
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM
from tests.harness.world import (
    HOST,
    PATIENCE,
    WORLD,
    ask,
    is_silent,
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
