"""Networks of IPv6: beside those of IPv4 or alone, out, in, and not as another."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest
from twisted.names import dns

from runc_cpi.daemon.host.network.veth import host_interface
from tests.functional.security.frames import (
    fragments,
    neighbour_advertisement,
    router_advertisement,
    send_from,
)
from tests.harness import names, netns
from tests.harness.daemon import Daemon, vm_arguments
from tests.harness.host import reboot_host
from tests.harness.lab import NewDaemon
from tests.harness.vm import SETTINGS, VM
from tests.harness.waiting import eventually
from tests.harness.world import BEYOND, UPLINK, ask, is_silent, serving, world

HERE = os.getpid()
HOST, WORLD = "2001:db8::2", "2001:db8::1"
ANY = "::"
NETMASK = "ffff:ffff:ffff:ffff:0000:0000:0000:0000"
# As the director has them: one interface for both.
FOUR = {
    "type": "manual",
    "ip": "10.244.0.34",
    "netmask": "255.255.255.0",
    "gateway": "10.244.0.1",
    "default": ["dns", "gateway"],
    "prefix": "32",
    "nic_group": 1,
    "cloud_properties": {},
}
SIX = {
    "type": "manual",
    "ip": "fd00:0000:0000:0001:0000:0000:0000:0034",
    "netmask": NETMASK,
    "gateway": "fd00:0000:0000:0001:0000:0000:0000:0001",
    "prefix": "128",
    "nic_group": 1,
    "cloud_properties": {},
}
GATEWAY, ADDRESS = "fd00:0:0:1::1", "fd00:0:0:1::34"


@pytest.fixture
def beyond(leaves_nothing: None) -> Iterator[int]:
    """A machine beyond the host, which answers, and knows no way to VMs."""
    with world() as pid:
        ip("addr", "add", f"{HOST}/64", "dev", UPLINK, "nodad")
        ip("addr", "add", f"{WORLD}/64", "dev", BEYOND, "nodad", pid=pid)
        with serving(pid, 80, "world", address=ANY):
            yield pid


def ip(*arguments: str, pid: int = HERE) -> str:
    """Run ip(8) with IPv6, in the network namespace of a process."""
    argv = ["nsenter", f"--target={pid}", "--net", "ip", "-6", *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def state() -> list[str]:
    """Return what the host has of rules, addresses, routes and settings."""
    rules = subprocess.run(
        ["nft", "--stateless", "list", "ruleset"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    # The kernel removes the settings of an interface a moment after its name.
    interfaces = ["all", "default", *sorted(name for _, name in socket.if_nameindex())]
    settings = [
        f"{path}: {path.read_text()}"
        for version in ("ipv4", "ipv6")
        for interface in interfaces
        for path in sorted(Path(f"/proc/sys/net/{version}/conf", interface).iterdir())
        if path.name in ("forwarding", "accept_ra", "disable_ipv6")
    ]
    # Addresses of links come with the first port of a bridge, and stay as long as it.  A
    # bridge that was made again has another number.
    network = ip("route").replace(" linkdown", "").splitlines()
    network += [line.partition(": ")[2] for line in ip("-o", "addr").splitlines()]
    return [rules, *sorted(line for line in network if "fe80::" not in line), *settings]


@pytest.mark.usefixtures("bridged")
def test_both_by_one_interface(beyond: int, daemon: Daemon, tiny: Path) -> None:
    """
    Two networks of one C{nic_group} share an interface, and its bridge has both gateways.
    Such a VM has ways out, names, and ports by both; the host is as before afterwards.
    """
    stemcell = daemon.create_stemcell(tiny)
    before = state()
    vm = daemon.create_vm(
        stemcell, {"a": FOUR, "b": SIX}, cloud_properties={"ports": ["8080:80"]}
    )
    assert vm.networks == {
        "a": {**FOUR, "dns": ["10.244.0.1"]},
        "b": {**SIX, "dns": [GATEWAY]},
    }
    assert netns.bridges_of(daemon.cgroup) == {daemon.config["bridge"], "runc-0af40000"}
    shown = vm.run("ip", "-o", "addr", "show", "dev", "eth0")
    for address in ("10.244.0.34/24", f"{ADDRESS}/64", "fe80::42:aff:fef4:22/64"):
        assert f" {address} " in shown
    assert "tentative" not in shown
    assert f"default via {GATEWAY} dev eth0" in vm.run("ip", "-6", "route")
    other = daemon.create_vm(stemcell, {"b": {**SIX, "ip": "fd00:0:0:1::35"}})
    with serving(vm.pid, 80, "vm", address=ANY), serving(vm.pid, 81, "vm"):
        assert ask(HERE, "10.244.0.34", 81) == "vm 10.244.0.1"
        assert ask(HERE, ADDRESS, 80) == f"vm {GATEWAY}"
        assert ask(other.pid, ADDRESS, 80) == "vm fd00:0:0:1::35"
        assert ask(beyond, HOST, 8080) == f"vm {WORLD}"
        assert ask(HERE, HOST, 8080) == f"vm {HOST}"
        assert ask(vm.pid, HOST, 8080) == f"vm {GATEWAY}"
        assert ask(other.pid, HOST, 8080) in (f"vm {GATEWAY}", "vm fd00:0:0:1::35")
        assert is_silent(HERE, "::1", 8080)
    for tcp in (False, True):
        answer = names.ask(GATEWAY, "host.internal", pid=vm.pid, kind=dns.AAAA, tcp=tcp)
        (record,) = answer.answers
        assert record.payload.address == IPv6Address(GATEWAY).packed
    # Without NAT the world sees the VM's own address, and must know the way back.
    assert is_silent(vm.pid, WORLD, 80)
    ip("route", "add", "fd00:0:0:1::/64", "via", HOST, pid=beyond)
    assert ask(vm.pid, WORLD, 80) == f"world {ADDRESS}"
    daemon.cpi.ok("delete_vm", vm.cid)
    assert ask(other.pid, WORLD, 80) == "world fd00:0:0:1::35"
    daemon.cpi.ok("delete_vm", other.cid)
    assert state() == before


def mac_of(vm: VM) -> bytes:
    """Return the hardware address of a VM."""
    return bytes.fromhex(vm.read("/sys/class/net/eth0/address").strip().replace(":", ""))


def neighbour(address: str) -> str:
    """Return at which hardware address the host takes another one to be."""
    words = ip("neigh", "show", address).split()
    return words[words.index("lladdr") + 1].replace(":", "") if "lladdr" in words else ""


def test_a_configured_network(beyond: int, new_daemon: NewDaemon, tiny: Path) -> None:
    """
    A configured network can have NAT, and gives its highest addresses to dynamic ones.
    All is there again after a crash and a reboot.  A host that learned its way out from a
    router goes on to.
    """
    daemon = new_daemon()
    cidr, bridge = daemon.config.pop("cidr"), daemon.config.pop("bridge")
    daemon.config["networks"] = [
        {"name": "four", "cidr": cidr, "bridge": bridge},
        {
            "name": "six",
            "cidr": "fd00:0:0:7::/64",
            "bridge": bridge,
            "nat": True,
            "reserved": ["fd00:0:0:7:8000::-fd00:0:0:7:ffff:ffff:ffff:ffff"],
        },
    ]
    daemon.write_config()
    learning = Path(f"/proc/sys/net/ipv6/conf/{UPLINK}/accept_ra")
    learning.write_text("1")
    daemon.start()
    before = state()
    six = {"type": "dynamic", "cloud_properties": {"name": "six"}}
    vm = daemon.create_vm(
        daemon.create_stemcell(tiny),
        {"a": six, "b": {"type": "dynamic"}},
        cloud_properties={"ports": ["514:5140/udp", f"[{HOST}]:8080:80"]},
    )
    address = "fd00::7:7fff:ffff:ffff:ffff"
    told = vm.networks["a"]
    assert (told["ip"], told["netmask"]) == (address, NETMASK)
    assert (told["gateway"], told["dns"]) == ("fd00:0:0:7::1", ["fd00:0:0:7::1"])
    settings = json.loads(vm.read(SETTINGS))["networks"]
    assert settings["a"]["mac"] == settings["b"]["mac"]

    def check() -> None:
        assert learning.read_text() == "2\n"
        assert ask(vm.pid, WORLD, 80) == f"world {HOST}"
        with (
            serving(vm.pid, 5140, "vm", "udp", ANY),
            serving(vm.pid, 80, "vm", address=ANY),
        ):
            assert ask(beyond, HOST, 514, "udp") == f"vm {WORLD}"
            assert ask(beyond, HOST, 8080) == f"vm {WORLD}"

    check()
    daemon.kill()
    daemon.start()
    check()
    reboot_host(daemon)
    learning.write_text("1")
    daemon.recover()
    check()
    daemon.cpi.ok("delete_vm", vm.cid)
    assert state() == before


def test_vms_are_no_routers(daemon: Daemon, tiny: Path) -> None:
    """
    What a VM says of routers and of other VMs reaches nobody.  No VM and no bridge would
    take the word of a router, whoever sends it.
    """
    stemcell = daemon.create_stemcell(tiny)
    networks = [{"b": {**SIX, "ip": f"fd00:0:0:1::{n}"}} for n in (2, 3)]
    vm, other = (daemon.create_vm(stemcell, network) for network in networks)
    victim, mac = "fd00:0:0:1::2", mac_of(vm)
    with serving(vm.pid, 80, "vm", address=ANY):
        assert ask(HERE, victim, 80)
    stolen = neighbour_advertisement(mac_of(other), "fd00:0:0:1::3", victim)
    offers = router_advertisement(mac_of(other), "fd00:0:0:1::3")
    # The host tracks connections, and puts fragments together first.
    in_fragments = fragments(stolen, 16)
    send_from(other.pid, [stolen, offers, *in_fragments, *fragments(stolen, 64)] * 3)
    assert neighbour(victim) == mac.hex()
    interface = host_interface(other.cid)
    subprocess.run(["tc", "qdisc", "del", "dev", interface, "clsact"], check=True)
    send_from(other.pid, [router_advertisement(mac_of(other)), *in_fragments] * 3)
    # The one was let through, so the other was as well.
    eventually(lambda: neighbour(victim) == mac_of(other).hex(), "the neighbour is taken")
    for pid in (HERE, vm.pid):
        assert "proto ra" not in ip("route", "show", pid=pid)
    # A VM that wants to takes it.
    vm.shell("echo 1 >/proc/sys/net/ipv6/conf/eth0/accept_ra")
    send_from(other.pid, [router_advertisement(mac_of(other))])
    eventually(lambda: "proto ra" in ip("route", "show", pid=vm.pid), "it learns a route")
    assert "bound" in daemon.control("repair")


def test_what_cannot_be(daemon: Daemon, tiny: Path) -> None:
    """Errors name what is in the way."""
    stemcell = daemon.create_stemcell(tiny)

    def refusal(networks: dict[str, Any], ports: tuple[str, ...] = ()) -> str:
        arguments = vm_arguments(
            stemcell, networks, cloud_properties={"ports": list(ports)}
        )
        return str(daemon.cpi.error("create_vm", *arguments)["message"])

    outside = {**SIX, "ip": "2001:db8:1::2", "gateway": None}
    assert "outside of allowed_networks" in refusal({"b": outside})
    ip("addr", "add", "fd00:0:0:1:8000::1/66", "dev", "lo", "nodad")
    ip("addr", "add", "2001:db8::9", "dev", "lo", "nodad")
    try:
        message = refusal({"b": SIX})
        assert "overlaps with fd00::1:8000:0:0:1/66, an address of lo of this" in message
        ports = ("[2001:db8::9]:80:80",)
        assert "is at an address of IPv6, of which the VM has" in refusal(
            {"a": FOUR}, ports
        )
    finally:
        ip("addr", "del", "fd00:0:0:1:8000::1/66", "dev", "lo")
        ip("addr", "del", "2001:db8::9", "dev", "lo")
    daemon.create_vm(stemcell, {"a": FOUR, "b": SIX})
    elsewhere = {"a": {**FOUR, "ip": "10.243.0.3", "gateway": "10.243.0.1"}}
    message = refusal({**elsewhere, "b": {**SIX, "ip": "fd00:0:0:1::35"}})
    assert "fd00:0:0:1::/64" in message and "nic_group: 1" in message


def test_a_block(beyond: int, daemon: Daemon, tiny: Path) -> None:
    """
    A VM can have a whole /64 of a network; host, world and VMs reach it there.  They reach
    a VM also by an interface that is not its way out.
    """
    stemcell = daemon.create_stemcell(tiny)
    network = {"netmask": "56", "gateway": "fd00:0:0:100::1"}
    single = {**SIX, **network, "ip": "fd00:0:0:100::2"}
    block = {**SIX, **network, "ip": "fd00:0:0:101::", "prefix": "64"}
    before = state()
    vm = daemon.create_vm(stemcell, {"one": single, "many": block})
    assert vm.networks["many"]["prefix"] == "64"
    far = {**SIX, "nic_group": 2}
    networks = {"n": {**single, "ip": "fd00:0:0:100::3"}, "far": far}
    other = daemon.create_vm(stemcell, networks)
    inner = "fd00::101:9:0:0:9"
    vm.run("ip", "-6", "addr", "add", f"{inner}/128", "dev", "lo")
    ip("route", "add", "fd00:0:0:100::/56", "via", HOST, pid=beyond)
    with serving(vm.pid, 80, "vm", address=ANY):
        assert ask(HERE, inner, 80) == "vm fd00:0:0:100::1"
        assert ask(other.pid, inner, 80) == "vm fd00:0:0:100::3"
        assert ask(beyond, inner, 80) == f"vm {WORLD}"
    ip("route", "add", "fd00:0:0:1::/64", "via", HOST, pid=beyond)
    with serving(other.pid, 80, "other", address=ANY):
        for pid, own in (HERE, GATEWAY), (vm.pid, "fd00:0:0:100::2"), (beyond, WORLD):
            assert ask(pid, ADDRESS, 80) == f"other {own}"
    vm.run(
        "ip",
        "-6",
        "route",
        "replace",
        f"{WORLD}/128",
        "via",
        network["gateway"],
        "src",
        inner,
    )
    assert ask(vm.pid, WORLD, 80) == f"world {inner}"
    arguments = vm_arguments(stemcell, {"n": {**single, "ip": inner}})
    assert vm.cid in daemon.cpi.error("create_vm", *arguments)["message"]
    for each in (vm, other):
        daemon.cpi.ok("delete_vm", each.cid)
    assert state() == before
