"""On the bridge a VM can send from its own addresses and no others."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from runc_cpi.daemon.host.network.veth import host_interface
from tests.functional.security.frames import (
    ALL_NODES,
    BROADCAST,
    IPV6,
    QINQ,
    REQUEST,
    arp,
    ethernet,
    ipv4,
    mac_of,
    router_advertisement,
    send_from,
    tagged,
)
from tests.functional.test_repair import NOTHING, repair
from tests.harness.daemon import Daemon, manual
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM
from tests.harness.waiting import eventually

EVERY_PROTOCOL = 0x0003  # ETH_P_ALL
IPV6_CONF = Path("/proc/sys/net/ipv6/conf")


@contextmanager
def listening(interface: str) -> Iterator[socket.socket]:
    """Receive all frames of an interface."""
    kind = socket.htons(EVERY_PROTOCOL)
    with closing(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, kind)) as ear:
        ear.bind((interface, EVERY_PROTOCOL))
        ear.settimeout(60)
        yield ear


def arrived(daemon: Daemon, vm: VM, frames: dict[str, bytes]) -> set[str]:
    """Let a VM send frames; return the names of those that arrived at the bridge."""
    # The bridge takes frames from a new interface only after a moment.
    ping = ("ping", "-c", "1", "-W", "2", daemon.network + "1")
    eventually(lambda: vm.attempt(*ping).returncode == 0, "the bridge is reached", 60)
    last = ipv4(mac_of(vm.address), vm.address, b"the last of them")
    with listening(daemon.config["bridge"]) as ear:
        send_from(vm.pid, [*frames.values(), last])
        names = {frame: name for name, frame in frames.items()}
        found = set()
        while (frame := ear.recv(2048)) != last:
            if frame in names:
                found.add(names[frame])
    return found


def forged(daemon: Daemon, vm: VM) -> dict[str, bytes]:
    """Return frames that a VM may not send."""
    own, other = vm.address, daemon.network + "99"
    gateway = daemon.network + "1"
    mac, stranger = mac_of(own), mac_of(other)
    bridge_data = bytes.fromhex("0026424203000000000000")
    return {
        "another's address": ipv4(mac, other),
        "the gateway's address": ipv4(mac, gateway),
        "no address": ipv4(mac, "0.0.0.0"),
        "loopback": ipv4(mac, "127.0.0.1"),
        "another's hardware address": ipv4(stranger, own),
        "all of another": ipv4(stranger, other),
        "an answer for another": arp(mac, other),
        "an answer for the gateway": arp(mac, gateway),
        "a question as another": arp(mac, other, operation=REQUEST),
        "another place for itself": arp(mac, own, sender=stranger),
        "an answer from elsewhere": arp(stranger, own),
        "a cut answer": arp(mac, own)[:30],
        "a cut datagram": ipv4(mac, own)[:28],
        "an answer for another network": arp(mac, own)[:14] + b"\0\6" + arp(mac, own)[16:],
        "a router": router_advertisement(mac),
        "IPv6": ethernet(IPV6, mac, bytes(40), ALL_NODES),
        "a switch": ethernet(len(bridge_data), mac, bridge_data, BROADCAST),
        "another's address in a VLAN": tagged(ipv4(mac, other)),
        "a VLAN in a VLAN": tagged(tagged(ipv4(mac, own)), QINQ),
        "an unknown protocol": ethernet(0x88B5, mac, bytes(46)),
    }


def honest(vm: VM) -> dict[str, bytes]:
    """Return frames that a VM may send: from each of its addresses."""
    mac = mac_of(vm.address)
    addresses = [network["ip"] for network in vm.networks.values()]
    return {
        "a probe": arp(mac, "0.0.0.0", operation=REQUEST),
        **{f"a question of {own}": arp(mac, own, operation=REQUEST) for own in addresses},
        **{f"an answer of {own}": arp(mac, own) for own in addresses},
        **{f"a datagram of {own}": ipv4(mac, own, b"hello") for own in addresses},
    }


def two_addresses(daemon: Daemon) -> dict[str, dict[str, object]]:
    """Return networks for a VM with two addresses."""
    return {"a": manual(daemon.network + "20"), "b": manual(daemon.network + "21")}


def interface_of(vm: VM, ip: IPRoute) -> int:
    """Return the index of the host's end of a VM's veth pair."""
    (index,) = ip.link_lookup(ifname=host_interface(vm.cid))
    return int(index)


def unguard(vm: VM) -> None:
    """Remove the filter of a VM's interface, as older daemons had none."""
    with IPRoute() as ip:
        ip.tc("del", "clsact", interface_of(vm, ip))


def test_a_vm_sends_as_itself(daemon: Daemon, tiny: Path) -> None:
    """No forged frame of a VM arrives at the bridge, and its honest ones do."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny), two_addresses(daemon))
    frames = forged(daemon, vm) | honest(vm)
    assert arrived(daemon, vm, frames) == set(honest(vm))
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert arrived(daemon, vm, frames) == set(honest(vm))


def test_an_older_daemons_vm(daemon: Daemon, tiny: Path) -> None:
    """
    A VM without a filter, of an older daemon, gets one at the next start or by a repair.
    """
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    frames = forged(daemon, vm) | honest(vm)
    unguard(vm)
    assert "all of another" in arrived(daemon, vm, frames)
    assert repair(daemon)[0] == f"bound {vm.cid} to its own addresses"
    assert arrived(daemon, vm, frames) == set(honest(vm))
    unguard(vm)
    daemon.stop()
    daemon.start()
    assert f"bound {vm.cid} to its own addresses" in daemon.log
    assert arrived(daemon, vm, frames) == set(honest(vm))
    assert repair(daemon) == [NOTHING]


def test_a_lost_interface_is_guarded_again(daemon: Daemon, tiny: Path) -> None:
    """An interface that is made anew by a repair has a filter too."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    subprocess.run(["ip", "link", "delete", host_interface(vm.cid)], check=True)
    assert repair(daemon)[0] == f"connected {vm.cid} again"
    frames = forged(daemon, vm) | honest(vm)
    assert arrived(daemon, vm, frames) == set(honest(vm))


def test_where_it_is_not_wanted(new_daemon: NewDaemon, tiny: Path) -> None:
    """With anti_spoofing off a VM can use other addresses."""
    daemon = new_daemon(config={"security": {"anti_spoofing": False}}).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    found = arrived(daemon, vm, forged(daemon, vm) | honest(vm))
    assert {"another's address", "an answer for the gateway", *honest(vm)} <= found


@pytest.mark.parametrize("anti_spoofing", [True, False])
def test_no_vm_is_the_hosts_router(
    new_daemon: NewDaemon, tiny: Path, anti_spoofing: bool
) -> None:
    """The host takes no route from router advertisements, even if they reach it."""
    daemon = new_daemon(config={"security": {"anti_spoofing": anti_spoofing}}).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    mac = mac_of(vm.address)
    arrived(daemon, vm, {str(n): router_advertisement(mac) for n in range(3)})
    with IPRoute() as ip:
        assert not list(ip.get_default_routes(family=socket.AF_INET6))
    for name in (str(daemon.config["bridge"]), host_interface(vm.cid)):
        assert (IPV6_CONF / name / "disable_ipv6").read_text() == "1\n"
        assert not subprocess.check_output(["ip", "-6", "address", "show", "dev", name])


def test_a_bridge_with_ipv6_keeps_it(new_daemon: NewDaemon, tiny: Path) -> None:
    """A bridge with an IPv6 address keeps IPv6, and learns no routes."""
    daemon = new_daemon()
    bridge = str(daemon.config["bridge"])
    subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
    address = ["ip", "address", "add", "2001:db8::1/64", "dev", bridge, "nodad"]
    subprocess.run(address, check=True)
    daemon.start()
    daemon.create_vm(daemon.create_stemcell(tiny))
    shown = subprocess.check_output(["ip", "-6", "address", "show", bridge], text=True)
    assert "2001:db8::1/64" in shown
    assert (IPV6_CONF / bridge / "accept_ra").read_text() == "0\n"


WITHOUT_BPF = """
import ctypes, os, struct, sys
# Load the call's number; refuse bpf(2) with EPERM, allow all else (seccomp(2)).
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, int(sys.argv[1])), (0x06, 0, 0, 0x50001),
         (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_host_that_cannot(new_daemon: NewDaemon) -> None:
    """A daemon that cannot filter does not start, and says what it needs."""
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("without bpf(2) there are no containers with cgroup v2")
    daemon = new_daemon()
    number = {"x86_64": "321", "aarch64": "280"}[os.uname().machine]
    prefix = [sys.executable, "-c", WITHOUT_BPF, number]
    line = daemon.refusal(prefix=prefix)
    assert os.strerror(errno.EPERM) in line
    assert "cls_bpf" in line
    assert "security.anti_spoofing: false" in line
    daemon.config["security"] = {"anti_spoofing": False}
    daemon.write_config()
    daemon.launch(prefix=prefix)
    daemon.wait_until(lambda: "serving at" in daemon.log)
    assert daemon.signal(signal.SIGTERM) == -signal.SIGTERM
