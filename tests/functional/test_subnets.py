"""Subnets as the networks of VMs describe them, and VMs that are in several."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from tests.harness import netns
from tests.harness.daemon import Daemon, manual, vm_arguments
from tests.harness.host import reboot_host
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually

AGAIN = 10  # times
# As the cloud-configs for bosh-deployment's docker and warden CPIs have them.
DOCKER = {
    "type": "manual",
    "ip": "10.245.0.34",
    "netmask": "255.255.0.0",
    "prefix": "32",
    "gateway": "10.245.0.1",
    "dns": ["8.8.8.8"],
    "default": ["dns", "gateway"],
    "cloud_properties": {"name": "random"},
}
WARDEN = {
    **DOCKER,
    "ip": "10.244.0.34",
    "netmask": "255.255.255.0",
    "gateway": "10.244.0.1",
    "cloud_properties": {},
}


@pytest.fixture
def stemcell(daemon: Daemon, tiny: Path) -> str:
    """A stemcell that boots at once."""
    return daemon.create_stemcell(tiny)


def refusal(
    daemon: Daemon, stemcell: str, network: dict[str, Any], kind: str = "CloudError"
) -> str:
    """Return why no VM can be made in a network."""
    error = daemon.cpi.error("create_vm", *vm_arguments(stemcell, {"net": network}))
    assert error["type"] == f"Bosh::Clouds::{kind}"
    return str(error["message"])


def reach(address: str) -> None:
    """Ask for a port where nobody listens, and be told so by the VM itself."""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, 9), timeout=5)


@contextmanager
def interface(address: str, prefix: int, route: str | None = None) -> Iterator[str]:
    """Give the host one more interface, with an address and perhaps a route."""
    with IPRoute() as ip:
        ip.link("add", ifname="lan0", kind="veth", peer={"ifname": "lan1"})
        (index,) = ip.link_lookup(ifname="lan0")
        try:
            ip.addr("add", index=index, address=address, prefixlen=prefix)
            ip.link("set", index=index, state="up")
            if route is not None:
                ip.route("add", dst=route, oif=index)
            yield "lan0"
        finally:
            ip.link("del", index=index)


def test_a_subnet_that_comes_again(daemon: Daemon, stemcell: str) -> None:
    """A subnet is gone when its last VM is, and is there again for the next one at once."""
    before = netns.links()
    for _ in range(AGAIN):
        vm = daemon.create_vm(stemcell, {"a": DOCKER})
        assert len(netns.links() - before) == 2  # the bridge, and the VM's on it
        vm.run("ping", "-c", "1", "-W", "2", "10.245.0.1")
        daemon.cpi.ok("delete_vm", vm.cid)
        assert netns.links() == before


def test_networks_of_a_cloud_config(daemon: Daemon, stemcell: str) -> None:
    """
    Networks that no configuration names are there while they have a VM, and their VMs
    reach each other, the host and VMs of other networks.
    """
    bridge = str(daemon.config["bridge"])
    vms = [daemon.create_vm(stemcell, {"a": network}) for network in (DOCKER, WARDEN)]
    assert [vm.networks["a"] for vm in vms] == [DOCKER, WARDEN]
    bridges = {"runc-0af40000", "runc-0af50000"}
    assert netns.bridges_of(daemon.cgroup) == {bridge, *bridges}
    more = daemon.create_vm(stemcell, {"a": {**DOCKER, "ip": "10.245.7.9"}})
    assert "inet 10.245.7.9/16" in more.run("ip", "addr")
    for address in (vms[0].address, "10.245.0.1", "10.244.0.1"):
        more.run("ping", "-c", "1", "-W", "2", address)
    for vm in (*vms, more):
        reach(vm.address)
    taken = refusal(daemon, stemcell, {**DOCKER, "ip": "10.245.7.9"})
    assert more.cid in taken
    daemon.cpi.ok("delete_vm", vms[0].cid)
    daemon.cpi.ok("delete_vm", vms[1].cid)
    assert netns.bridges_of(daemon.cgroup) == {bridge, "runc-0af50000"}
    daemon.cpi.ok("delete_vm", more.cid)
    assert netns.bridges_of(daemon.cgroup) == {bridge}
    daemon.stop()
    assert netns.bridges_of(daemon.cgroup) == set()


@pytest.mark.parametrize("end", ["stop", "kill", "reboot"])
def test_networks_outlive_the_daemon(daemon: Daemon, stemcell: str, end: str) -> None:
    """After a restart, or a reboot of the host, the networks of VMs are there again."""
    vm = daemon.create_vm(stemcell, {"a": WARDEN})
    if end == "reboot":
        reboot_host(daemon)
    else:
        getattr(daemon, end)()
        assert "runc-0af40000" in netns.bridges_of(daemon.cgroup)
    daemon.start()
    eventually(vm.is_alive, "the VM is back", 30)
    eventually(lambda: "repaired" in daemon.log or "serving" in daemon.log, "it serves")
    reach(vm.address)
    assert vm.cid in refusal(daemon, stemcell, WARDEN)
    daemon.cpi.ok("delete_vm", vm.cid)
    assert netns.bridges_of(daemon.cgroup) == {daemon.config["bridge"]}


def test_a_bridge_that_was_taken_away(daemon: Daemon, stemcell: str) -> None:
    """A VM cannot be made on a bridge that is gone, until C{repair} makes it again."""
    vm = daemon.create_vm(stemcell, {"a": WARDEN})
    subprocess.run(["ip", "link", "delete", "runc-0af40000"], check=True)
    error = refusal(daemon, stemcell, {**WARDEN, "ip": "10.244.0.35"}, "VMCreationFailed")
    assert "there is no bridge runc-0af40000; runc-cpictl repair makes it again" in error
    assert f"connected {vm.cid} again" in daemon.control("repair")
    reach(vm.address)


def test_several_interfaces(daemon: Daemon, stemcell: str) -> None:
    """
    A VM has an interface for each subnet, in the order of the manifest.  The default route
    and the name servers are those of the networks that the manifest says.
    """
    networks = {
        "first": {**DOCKER, "default": ["dns"], "dns": ["192.0.2.1"]},
        "second": {**WARDEN, "default": ["gateway"]},
        "third": {"type": "dynamic"},
        "fourth": {**DOCKER, "ip": "10.245.0.35", "default": None},
    }
    vm = daemon.create_vm(stemcell, networks)
    shown = vm.run("ip", "-o", "addr").splitlines()
    dynamic = vm.networks["third"]["ip"]
    for interface, address in (
        ("eth0", "10.245.0.34/16"),
        ("eth0", "10.245.0.35/16"),
        ("eth1", "10.244.0.34/24"),
        ("eth2", f"{dynamic}/24"),
    ):
        assert any(f"{interface} " in line and f" {address}" in line for line in shown)
    assert "default via 10.244.0.1 dev eth1" in vm.run("ip", "route")
    assert vm.run("cat", "/etc/resolv.conf").split() == ["nameserver", "192.0.2.1"]
    for address in ("10.245.0.34", "10.245.0.35", "10.244.0.34", dynamic):
        reach(address)
    daemon.kill()
    daemon.start()
    daemon.cpi.ok("reboot_vm", vm.cid)
    for address in ("10.245.0.35", "10.244.0.34", dynamic):
        reach(address)


def test_a_vm_that_removes_one_of_its_interfaces(daemon: Daemon, stemcell: str) -> None:
    """C{repair} gives a VM back the interface that it lost, with its address and route."""
    vm = daemon.create_vm(stemcell, {"a": DOCKER, "b": WARDEN})
    vm.run("ip", "link", "delete", "eth0")
    assert f"connected {vm.cid} again" in daemon.control("repair")
    assert "default via 10.245.0.1 dev eth0" in vm.run("ip", "route")
    for address in ("10.245.0.34", "10.244.0.34"):
        reach(address)
    assert "put right" in daemon.control("repair")


def test_a_network_that_cannot_be_made(daemon: Daemon, stemcell: str) -> None:
    """A network whose bridge is another's keeps no VM from being in other networks."""
    subprocess.run(["ip", "link", "add", "runc-0af40000", "type", "bridge"], check=True)
    try:
        alias = "runc-cpid bridge of somebody"
        subprocess.run(["ip", "link", "set", "runc-0af40000", "alias", alias], check=True)
        message = refusal(daemon, stemcell, WARDEN, "VMCreationFailed")
        assert "runc-0af40000: this bridge is another runc-cpid's" in message
        reach(daemon.create_vm(stemcell, {"a": DOCKER}).address)
    finally:
        subprocess.run(["ip", "link", "delete", "runc-0af40000"], check=True)
    reach(daemon.create_vm(stemcell, {"a": WARDEN}).address)


@pytest.mark.parametrize("now", ["configured", "renamed", "described"])
def test_a_network_of_running_vms_changes(
    new_daemon: NewDaemon, tiny: Path, now: str
) -> None:
    """VMs follow their network to another bridge, and the one before goes."""
    daemon = new_daemon()
    storage = {"name": "storage", "cidr": "10.244.0.0/24", "bridge": "tn1"}
    default = {
        "name": "default",
        "cidr": daemon.config.pop("cidr"),
        "bridge": daemon.config.pop("bridge"),
    }
    before = [default] if now == "configured" else [default, storage]
    daemon.config["networks"] = before
    daemon.write_config()
    daemon.start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny), {"a": WARDEN})
    daemon.stop()
    after = {
        "configured": [default, storage],
        "renamed": [default, {**storage, "bridge": "tn2"}],
        "described": [default],
    }
    bridge = {"configured": "tn1", "renamed": "tn2", "described": "runc-0af40000"}[now]
    daemon.config["networks"] = after[now]
    daemon.write_config()
    daemon.start()
    reach(vm.address)
    assert netns.bridges_of(daemon.cgroup) == {str(default["bridge"]), bridge}


def test_the_host_gets_a_network_of_vms(daemon: Daemon, stemcell: str) -> None:
    """After a reboot, a network that the host has by now is not made, and that is said."""
    vm = daemon.create_vm(stemcell, {"a": WARDEN})
    other = daemon.create_vm(stemcell)
    reboot_host(daemon)
    with interface("10.244.0.50", 24):
        daemon.start()
        eventually(other.is_alive, "the other VM is back", 30)
        assert netns.bridges_of(daemon.cgroup) == {daemon.config["bridge"]}
        assert (
            "10.244.0.0/24 overlaps with 10.244.0.50/24, an address of lan0" in daemon.log
        )
    assert f"brought back {vm.cid}" in daemon.control("repair")
    reach(vm.address)


def test_one_interface_in_two_subnets(daemon: Daemon, stemcell: str) -> None:
    """Networks of one C{nic_group} cannot be in several subnets."""
    networks = {
        "a": {**DOCKER, "nic_group": 1},
        "b": {**WARDEN, "nic_group": 1},
    }
    error = daemon.cpi.error("create_vm", *vm_arguments(stemcell, networks))
    assert error["type"] == "Bosh::Clouds::CpiError"
    assert error["message"].startswith("networks.b.nic_group: 1 is that of networks.a")
    assert netns.bridges_of(daemon.cgroup) == {daemon.config["bridge"]}


@pytest.mark.parametrize(
    ("address", "prefix", "route", "named"),
    [
        ("10.244.0.50", 24, None, "10.244.0.50/24, an address of lan0"),
        ("10.0.0.50", 8, None, "10.0.0.50/8, an address of lan0"),
        ("192.0.2.9", 24, "10.244.0.128/25", "10.244.0.128/25, a route by lan0"),
    ],
)
def test_networks_of_the_host(
    daemon: Daemon, stemcell: str, address: str, prefix: int, route: str | None, named: str
) -> None:
    """A network that overlaps with one of the host is refused, and that is named."""
    with interface(address, prefix, route):
        message = refusal(daemon, stemcell, WARDEN)
    assert f"networks.net: 10.244.0.0/24 overlaps with {named} of this host" in message
    daemon.create_vm(stemcell, {"a": WARDEN})


def test_a_route_around_the_network(daemon: Daemon, stemcell: str) -> None:
    """A route of the host to a larger network, such as a VPN's, is no obstacle."""
    with interface("192.0.2.9", 24, "10.0.0.0/8"):
        vm = daemon.create_vm(stemcell, {"a": WARDEN})
        reach(vm.address)


def test_a_configured_network_of_the_host(new_daemon: NewDaemon) -> None:
    """The daemon does not start if its network is the host's, and says what to change."""
    daemon = new_daemon(config={"cidr": "10.79.0.0/16"})
    with interface("10.79.0.50", 24):
        message = daemon.refusal()
    assert message == (
        "runc-cpid: cidr: 10.79.0.0/16 of the network 'default' overlaps with "
        "10.79.0.50/24, an address of lan0 of this host; configure another"
    )


def test_the_network_of_another_daemon(
    daemon: Daemon, stemcell: str, new_daemon: NewDaemon, tiny: Path
) -> None:
    """Two daemons of a host cannot have the same network."""
    daemon.create_vm(stemcell, {"a": WARDEN})
    other = new_daemon().start()
    message = refusal(other, other.create_stemcell(tiny), {**WARDEN, "ip": "10.244.0.99"})
    assert "overlaps with 10.244.0.1/24, an address of runc-0af40000" in message
    assert other.vm_cids() == []


def test_configured_networks(new_daemon: NewDaemon, tiny: Path) -> None:
    """Each configured network has its own settings; dynamic networks may name one."""
    daemon = new_daemon()
    for key in ("cidr", "bridge"):
        del daemon.config[key]
    daemon.config["networks"] = [
        {"name": "default", "cidr": "10.80.0.0/24", "bridge": "tn0"},
        {
            "name": "storage",
            "cidr": "10.81.0.0/24",
            "bridge": "tn1",
            "gateway": "10.81.0.254",
            "mtu": 1400,
            "reserved": ["10.81.0.250-10.81.0.253"],
            "dns": ["192.0.2.7"],
        },
    ]
    daemon.write_config()
    daemon.start()
    stemcell = daemon.create_stemcell(tiny)
    networks = {"s": {"type": "dynamic", "cloud_properties": {"name": "storage"}}}
    vm = daemon.create_vm(stemcell, networks)
    told = vm.networks["s"]
    assert (told["ip"], told["gateway"]) == ("10.81.0.249", "10.81.0.254")
    assert told["dns"] == ["192.0.2.7"]
    assert "mtu 1400" in vm.run("ip", "link", "show", "eth0")
    assert daemon.create_vm(stemcell).address == "10.80.0.254"
    message = refusal(daemon, stemcell, manual("10.81.0.251"))
    assert "address 10.81.0.251 is reserved in 10.81.0.0/24 by the configuration" in message


def test_the_host_has_its_own_addresses(daemon: Daemon, stemcell: str) -> None:
    """An address that the host has on a bridge is not given to a VM."""
    own, bridge = daemon.network + "254", str(daemon.config["bridge"])
    subprocess.run(["ip", "addr", "add", f"{own}/24", "dev", bridge], check=True)
    assert daemon.create_vm(stemcell).address == daemon.network + "253"
    assert f"address {own} is the host's own" in refusal(daemon, stemcell, manual(own))
