"""Addresses: asked for, assigned, refused, given back, and used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from tests.harness.daemon import Daemon, manual, vm_arguments
from tests.harness.lab import NewDaemon

DYNAMIC = {"type": "dynamic"}


@pytest.fixture
def stemcell(daemon: Daemon, tiny: Path) -> str:
    """A stemcell that boots at once."""
    return daemon.create_stemcell(tiny)


def refused(daemon: Daemon, stemcell: str, network: Any) -> dict[str, Any]:
    """Return the error of create_vm for a network; no VM must be left."""
    before = daemon.vm_cids()
    error = daemon.cpi.error("create_vm", *vm_arguments(stemcell, {"net": network}))
    assert daemon.vm_cids() == before
    return error


def test_netmask_and_gateway_are_the_hosts(daemon: Daemon, tiny: Path) -> None:
    """
    A netmask or gateway that differs from the host's is logged, and the agent gets the
    host's.
    """
    asked = manual(daemon.network + "9", netmask="255.255.0.0", gateway="10.9.9.9")
    vm = daemon.create_vm(daemon.create_stemcell(tiny), {"a": asked})
    assert vm.networks["a"]["netmask"] == "255.255.255.0"
    assert vm.networks["a"]["gateway"] == daemon.network + "1"
    assert "networks.a.netmask: '255.255.0.0', here it is 255.255.255.0" in daemon.log
    assert "networks.a.gateway: '10.9.9.9', here it is" in daemon.log


def test_manual_networks_come_back_as_they_were(daemon: Daemon, stemcell: str) -> None:
    """A manual network comes back as it was given, with the keys that mean nothing here."""
    asked = manual(daemon.network + "7", dns=["192.0.2.1"], default=["dns", "gateway"])
    asked["cloud_properties"] = {"name": "vlan", "tags": [1]}
    vm = daemon.create_vm(stemcell, {"a name": {**asked, "nic_group": "1"}})
    assert vm.networks == {"a name": {**asked, "nic_group": "1"}}


def test_dynamic_networks_get_the_highest_free_address(
    daemon: Daemon, stemcell: str
) -> None:
    """
    A dynamic network gets the highest free address; an address that is given back is used
    again.
    """
    vms = [daemon.create_vm(stemcell) for _ in range(3)]
    assert [vm.address for vm in vms] == [f"{daemon.network}{n}" for n in (254, 253, 252)]
    daemon.cpi.ok("delete_vm", vms[1].cid)
    daemon.create_vm(stemcell, {"m": manual(daemon.network + "251")})
    assert daemon.create_vm(stemcell).address == daemon.network + "253"
    assert daemon.create_vm(stemcell).address == daemon.network + "250"
    told = vms[0].networks["default"]
    assert told["netmask"] == "255.255.255.0"
    assert told["gateway"] == daemon.network + "1"


def test_several_networks(new_daemon: NewDaemon, tiny: Path) -> None:
    """Each network except a virtual one gets an address, all on one interface."""
    daemon = new_daemon(config={"vip_addresses": ["192.0.2.77"]}).start()
    stemcell = daemon.create_stemcell(tiny)
    networks = {
        "virtual": {"type": "vip", "ip": "192.0.2.77"},
        "first": DYNAMIC,
        "second": manual(daemon.network + "254"),
        "third": DYNAMIC,
    }
    vm = daemon.create_vm(stemcell, networks)
    told = {name: network["ip"] for name, network in vm.networks.items()}
    assert told == {
        "virtual": "192.0.2.77",
        "first": daemon.network + "253",
        "second": daemon.network + "254",
        "third": daemon.network + "252",
    }
    seen = vm.run("ip", "addr")
    for name, address in told.items():
        assert (f"inet {address}/24" in seen) == (name != "virtual")


def test_vms_reach_each_other(
    daemon: Daemon, kind: str, image: Callable[[str], Path]
) -> None:
    """A VM reaches another VM's agent, and its own by its address."""
    stemcell = daemon.create_stemcell(image(kind))
    one = daemon.create_vm(stemcell, agent_id="one")
    two = daemon.create_vm(stemcell, agent_id="two")
    for vm in (one, two):
        vm.wait_for_agent()
    ask = "busybox nc {} 6868 </dev/null"
    assert one.shell(ask.format(two.address)).strip() == "two"
    assert two.shell(ask.format(one.address)).strip() == "one"
    assert two.shell(ask.format(two.address)).strip() == "two"
    assert two.shell(ask.format(f"$(hostname -i || echo {two.address})")).strip() == "two"


def test_an_address_in_use_names_its_vm(daemon: Daemon, stemcell: str) -> None:
    """An address belongs to one VM at a time, and the error names that VM."""
    vm = daemon.create_vm(stemcell, {"a": manual(daemon.network + "50")})
    error = refused(daemon, stemcell, manual(daemon.network + "50"))
    assert error["type"] == "Bosh::Clouds::CloudError"
    assert vm.cid in error["message"]
    assert daemon.network + "50" in error["message"]
    daemon.cpi.ok("delete_vm", vm.cid)
    daemon.create_vm(stemcell, {"a": manual(daemon.network + "50")})


@pytest.mark.parametrize(
    ("host", "reason"),
    [("1", "gateway"), ("255", "broadcast"), ("0", "network address")],
)
def test_addresses_that_are_no_vms(
    daemon: Daemon, stemcell: str, host: str, reason: str
) -> None:
    """Addresses with a meaning of their own are refused, and the error says which."""
    error = refused(daemon, stemcell, manual(daemon.network + host))
    assert error["type"] == "Bosh::Clouds::CloudError"
    assert reason in error["message"]


def test_an_address_outside(daemon: Daemon, stemcell: str) -> None:
    """
    An address outside of the networks that VMs may describe is refused, and the error
    names these.
    """
    error = refused(daemon, stemcell, manual("198.51.100.4"))
    assert error["type"] == "Bosh::Clouds::CloudError"
    assert "outside of allowed_networks of the daemon, which is 10.0" in error["message"]


@pytest.mark.parametrize(
    ("networks", "named"),
    [
        ({}, "networks"),
        ({"v": {"type": "vip", "ip": "192.0.2.1"}}, "networks"),
        ({"net": None}, "networks.net"),
        ({"net": []}, "networks.net"),
        ({"net": {"type": "warp"}}, "networks.net.type"),
        ({"net": {"type": ["manual"]}}, "networks.net.type"),
        ({"net": {"type": None}}, "networks.net.type"),
        ({"net": {}}, "networks.net.ip"),
        ({"net": {"type": "manual", "ip": "10.0.0"}}, "networks.net.ip"),
        ({"net": {"type": "manual", "ip": 167772161}}, "networks.net.ip"),
        ({"net": {"type": "manual", "ip": "2001:db8::1"}}, "networks.net.netmask"),
        ({"net": {"type": "dynamic", "dns": "192.0.2.1"}}, "networks.net.dns"),
        ({"net": {"type": "dynamic", "dns": [1]}}, "networks.net.dns"),
        ({"net": {"type": "dynamic", "default": "dns"}}, "networks.net.default"),
    ],
)
def test_bad_networks(
    daemon: Daemon, stemcell: str, networks: dict[str, Any], named: str
) -> None:
    """A bad network is the caller's error, and the error names it."""
    error = daemon.cpi.error("create_vm", *vm_arguments(stemcell, networks))
    assert error["type"] == "Bosh::Clouds::CpiError"
    assert error["message"].startswith(named)
    # The refused calls keep no address.
    assert daemon.create_vm(stemcell).address == daemon.network + "254"


def test_one_address_asked_for_twice(daemon: Daemon, stemcell: str) -> None:
    """Two networks of one VM cannot get the same address."""
    same = manual(daemon.network + "9")
    arguments = vm_arguments(stemcell, {"a": same, "b": same})
    error = daemon.cpi.error("create_vm", *arguments)
    assert error["type"] in ("Bosh::Clouds::CpiError", "Bosh::Clouds::CloudError")
    assert daemon.network + "9" in error["message"]
    daemon.create_vm(stemcell, {"a": same})


def test_the_network_can_be_used_up(new_daemon: NewDaemon, tiny: Path) -> None:
    """When all addresses are used, a VM is refused; once one is free, it can be made."""
    daemon = new_daemon()
    daemon.config["cidr"] = daemon.network + "0/30"
    daemon.write_config()
    daemon.start()
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell)
    error = refused(daemon, stemcell, DYNAMIC)
    assert "no address is left" in error["message"]
    daemon.cpi.ok("delete_vm", vm.cid)
    assert daemon.create_vm(stemcell).address == vm.address


def test_a_gateway_of_ones_own(new_daemon: NewDaemon, tiny: Path) -> None:
    """The gateway may be any host address; then a dynamic network does not get it."""
    daemon = new_daemon()
    daemon.config["gateway"] = daemon.network + "254"
    daemon.write_config()
    daemon.start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    assert vm.address == daemon.network + "253"
    assert f"default via {daemon.network}254" in vm.run("ip", "route")
    vm.run("ping", "-c", "1", "-W", "2", daemon.network + "254")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_addresses_outlive_the_daemon(daemon: Daemon, stemcell: str, end: str) -> None:
    """After a restart the daemon knows which VM has which address."""
    networks = {"a": DYNAMIC, "b": manual(daemon.network + "60")}
    vm = daemon.create_vm(stemcell, networks)
    getattr(daemon, end)()
    daemon.start()
    for host in ("254", "60"):
        assert vm.cid in refused(daemon, stemcell, manual(daemon.network + host))["message"]
    other = daemon.create_vm(stemcell)
    assert other.address == daemon.network + "253"
    vm.run("ping", "-c", "1", "-W", "2", other.address)
    daemon.cpi.ok("delete_vm", vm.cid)
    assert daemon.create_vm(stemcell).address == daemon.network + "254"


@pytest.fixture
def narrow_uplink() -> Iterator[int]:
    """
    Give the host a default route over an interface with a small MTU, and return the MTU.
    """
    mtu = 1300
    with IPRoute() as ip:
        ip.link("add", ifname="uplink", kind="veth", mtu=mtu, peer={"ifname": "beyond"})
        (index,) = ip.link_lookup(ifname="uplink")
        ip.addr("add", index=index, address="192.0.2.2", prefixlen=24)
        ip.link("set", index=index, state="up")
        ip.route("add", dst="default", gateway="192.0.2.1")
        yield mtu
        ip.link("del", index=index)


def test_mtu_is_that_of_the_uplink(
    daemon: Daemon, stemcell: str, narrow_uplink: int
) -> None:
    """A VM's MTU is that of the host's default route."""
    vm = daemon.create_vm(stemcell)
    assert f"mtu {narrow_uplink}" in vm.run("ip", "link", "show", "eth0")
