"""Blocks of addresses: the host routes each to the VM that has it (prefix delegation)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from runc_cpi.daemon.host.namespaces import CLONE_NEWNET, inside
from tests.functional.security.frames import arp, ipv4, mac_of
from tests.functional.security.test_sending import arrived
from tests.harness.daemon import Daemon, manual, vm_arguments
from tests.harness.vm import VM
from tests.harness.world import HOST, WORLD, ask, is_silent, new_namespace, serving, world

HERE = os.getpid()
PORT = 80


@pytest.fixture
def beyond(leaves_nothing: None, daemon: Daemon) -> Iterator[int]:
    """A machine beyond the host, which answers, and knows the way to VMs."""
    with world() as pid, serving(pid, PORT, "world"):
        with inside(pid, CLONE_NEWNET), IPRoute() as ip:
            for network in (daemon.config["cidr"], "10.9.0.0/24"):
                ip.route("add", dst=network, gateway=HOST)
        yield pid


@contextmanager
def container(vm: VM, address: str, name: str = "inner") -> Iterator[int]:
    """
    Connect a network namespace to a VM, which forwards what is for its address.

    @param name: of the interface in the VM.
    @return: the pid of a process in there.
    """
    with new_namespace() as pid:
        with inside(vm.pid, CLONE_NEWNET), IPRoute() as ip:
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            peer = {"ifname": "eth0", "net_ns_pid": pid}
            ip.link("add", ifname=name, kind="veth", peer=peer)
            (index,) = ip.link_lookup(ifname=name)
            ip.link("set", index=index, state="up")
            ip.addr("add", index=index, address="169.254.9.1", prefixlen=32)
            ip.route("add", dst=f"{address}/32", oif=index)
        with inside(pid, CLONE_NEWNET), IPRoute() as ip:
            (index,) = ip.link_lookup(ifname="eth0")
            ip.addr("add", index=index, address=address, prefixlen=32)
            ip.link("set", index=index, state="up")
            ip.route("add", dst="169.254.9.1/32", oif=index, scope="link")
            ip.route("add", dst="default", gateway="169.254.9.1")
        yield pid


def routes() -> set[str]:
    """Return the host's routes."""
    shown = subprocess.run(
        ["ip", "-4", "route"], capture_output=True, text=True, check=True
    )
    return {line.strip().removesuffix(" linkdown") for line in shown.stdout.splitlines()}


def refusal(daemon: Daemon, stemcell: str, network: dict[str, Any]) -> str:
    """Return why no VM can be made in a network."""
    error = daemon.cpi.error("create_vm", *vm_arguments(stemcell, {"net": network}))
    return str(error["message"])


def assert_reached(beyond: int, vm: VM, others: dict[VM, str]) -> None:
    """
    Check that a block on an interface that is not the way out is reached from everywhere.

    So is the VM's own address there, from a network inside of the VM as well.

    @param others: addresses of VMs, one of each subnet that the VM is in.
    """
    inner, inside_of_it = "10.9.0.18", "10.9.0.19"
    for name in ("all", "eth1"):
        vm.run("sh", "-c", f"echo 1 >/proc/sys/net/ipv4/conf/{name}/rp_filter")
    with container(vm, inner) as pid, container(vm, inside_of_it, "within") as second:
        with serving(pid, PORT, "inner"), serving(vm.pid, PORT, "outer"):
            for target, answer in (inner, "inner"), ("10.9.0.16", "outer"):
                assert ask(HERE, target, PORT) == f"{answer} 10.9.0.1"
                assert ask(beyond, target, PORT) == f"{answer} {WORLD}"
                assert ask(second, target, PORT) == f"{answer} {inside_of_it}"
                for other, address in others.items():
                    assert ask(other.pid, target, PORT) == f"{answer} {address}"
        assert ask(pid, WORLD, PORT) == f"world {HOST}"


def test_a_block_of_addresses(beyond: int, daemon: Daemon, tiny: Path) -> None:
    """
    The host, the world and other VMs reach the containers of a VM in its block, and are
    reached by them.  Nobody else gets an address of it, and nothing is left of it.
    """
    stemcell, within = daemon.create_stemcell(tiny), daemon.network
    before = routes()
    block = manual(within + "16", prefix="28", nic_group="1", cloud_properties={})
    single = manual(within + "5", prefix="32", nic_group="1", default=["dns", "gateway"])
    vm = daemon.create_vm(stemcell, {"one": single, "many": block})
    assert vm.networks["many"] == block | {"dns": [within + "1"]}
    assert vm.run("ip", "-o", "-4", "address", "show", "eth0").count(" inet ") == 1
    # In a subnet where the VM has no other address, the interface has the first one.
    elsewhere = manual("10.9.0.16", prefix="28")
    other = daemon.create_vm(stemcell, {"a": manual(within + "6"), "b": elsewhere})
    assert " 10.9.0.16/24 " in other.run("ip", "-o", "-4", "address", "show", "eth1")
    with serving(other.pid, PORT, "other"):
        assert ask(HERE, "10.9.0.16", PORT) == "other 10.9.0.1"
    beside = daemon.create_vm(stemcell, {"net": manual("10.9.0.5")})
    assert_reached(beyond, other, {vm: vm.address, beside: "10.9.0.5"})
    expected = f"{within}16/28 via {within}5 dev {daemon.config['bridge']} proto 120 metric"
    (found,) = (route for route in routes() if route.startswith(expected))
    inner = within + "18"
    with container(vm, inner) as pid, serving(pid, PORT, "inner"):
        with serving(other.pid, PORT, "other"):
            assert ask(pid, other.address, PORT) == f"other {inner}"
        assert ask(pid, WORLD, PORT) == f"world {HOST}"
        assert ask(other.pid, inner, PORT) == f"inner {other.address}"
        assert ask(beyond, inner, PORT) == f"inner {WORLD}"
        daemon.kill()
        assert ask(HERE, inner, PORT) == f"inner {within}1"
        daemon.start()
        assert found in routes()
        subprocess.run(["ip", "route", "delete", f"{within}16/28"], check=True)
        assert "put back the routes to blocks of VMs" in daemon.control("repair")
        assert ask(HERE, inner, PORT) == f"inner {within}1"
    mac = mac_of(vm.address)
    assert arrived(
        daemon,
        vm,
        {
            "the last": ipv4(mac, within + "31"),
            "an answer": arp(mac, within + "16"),
            "one too high": ipv4(mac, within + "32"),
            "one too low": ipv4(mac, within + "15"),
            "a false answer": arp(mac, within + "32"),
        },
    ) == {"the last", "an answer"}
    holder = f"in use by {vm.cid}"
    assert holder in refusal(daemon, stemcell, manual(within + "20"))
    assert holder in refusal(daemon, stemcell, manual(within + "24", prefix="29"))
    assert f"{within}1" in refusal(daemon, stemcell, manual(within + "0", prefix="27"))
    for each in (vm, other, beside):
        daemon.cpi.ok("delete_vm", each.cid)
    assert routes() == before


def test_a_block_in_an_isolated_network(beyond: int, daemon: Daemon, tiny: Path) -> None:
    """
    A VM with but a block in a network that is kept apart is reached from within, and from
    the host, and by no VM of another network.  The network is in use until it is gone.
    """
    before = routes()
    properties = {"isolated": True, "nat": False}
    network = {"type": "manual", "range": "10.9.0.0/24", "gateway": "10.9.0.1"}
    cid, *_ = daemon.cpi.ok("create_network", {**network, "cloud_properties": properties})
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell, {"net": manual("10.9.0.16", prefix="28")})
    inside_of_it = daemon.create_vm(stemcell, {"net": manual("10.9.0.5")})
    inner = "10.9.0.18"
    with container(vm, inner) as pid, serving(pid, PORT, "inner"):
        assert ask(HERE, inner, PORT) == "inner 10.9.0.1"
        assert ask(inside_of_it.pid, inner, PORT) == "inner 10.9.0.5"
        # The host forwards what is for a block, though the network has no NAT.
        assert ask(beyond, inner, PORT) == f"inner {WORLD}"
        other = daemon.create_vm(stemcell, {"net": manual(daemon.network + "5")})
        assert is_silent(other.pid, inner, PORT)
    for each in (other, inside_of_it):
        daemon.cpi.ok("delete_vm", each.cid)
    message = daemon.cpi.error("delete_network", cid)["message"]
    assert message == f"{cid} is in use by {vm.cid}"
    assert any(route.startswith("10.9.0.16/28 via") for route in routes())
    daemon.cpi.ok("delete_vm", vm.cid)
    daemon.cpi.ok("delete_network", cid)
    assert routes() == before
