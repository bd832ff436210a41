"""Networks of IPv6: beside those of IPv4 or alone, out, in, and not as another."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.security.frames import router_advertisement, send_from
from tests.harness import netns
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
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
        ["nft", "--stateless", "list", "ruleset"], check=True, capture_output=True, text=True
    ).stdout
    settings = [
        f"{path}: {path.read_text()}"
        for version in ("ipv4", "ipv6")
        for path in sorted(Path(f"/proc/sys/net/{version}/conf").glob("*/*"))
        if path.name in ("forwarding", "accept_ra", "disable_ipv6")
    ]
    # Multicast routes of interfaces come in any order.
    routes = sorted(ip("route", "show", "table", "main").splitlines())
    return [rules, ip("-brief", "addr"), *routes, *settings]


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
    assert vm.networks == {"a": {**FOUR, "dns": ["10.244.0.1"]}, "b": {**SIX, "dns": [GATEWAY]}}
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
    # Without NAT the world sees the VM's own address, and must know the way back.
    assert is_silent(vm.pid, WORLD, 80)
    ip("route", "add", "fd00:0:0:1::/64", "via", HOST, pid=beyond)
    assert ask(vm.pid, WORLD, 80) == f"world {ADDRESS}"
    daemon.cpi.ok("delete_vm", vm.cid)
    assert ask(other.pid, WORLD, 80) == "world fd00:0:0:1::35"
    daemon.cpi.ok("delete_vm", other.cid)
    assert state() == before
